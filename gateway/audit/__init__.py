"""The audit log: ``facts`` says what of a call is worth keeping, ``middleware`` is the one place where
calls are recorded, ``recorder`` writes them behind the requests' back, ``log`` is the chain in Redis
and ``chain`` its hashes, which need neither Redis nor us to be checked.
"""
