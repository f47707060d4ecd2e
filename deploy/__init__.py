"""What runs Kubetriage and is not Kubetriage."""
