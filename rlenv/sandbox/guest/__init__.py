"""Code that runs on the far side of the sandbox's boundary.

The host never imports a guest's state and the guest never imports the host's: the sources
of these modules are sent to a fresh interpreter (see `rlenv.sandbox.bundle`), so the same code
serves a local process and a container. Standard library only, Python 3.9 or newer.
"""
