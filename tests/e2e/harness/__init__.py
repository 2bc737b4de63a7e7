"""What the system tests stand on: hosts, daemons, gateways, a ledger, a trap receiver.

Python's standard library only. Everything that a test starts ends with it, also when the test itself
is killed: every process asks the kernel to be killed with its parent, and network namespaces have no
name, so they go away with the process that holds them. box.py boots a whole systemd for a host.
"""
