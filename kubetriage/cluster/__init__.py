"""Reading a cluster: live (``live``) or captured (``bundle``), through one interface (``reader``).

The only package that imports the Kubernetes client. Reads only.
"""
