"""Where runs live: what each backend takes away from a process."""

from sandbox.guest.jails.base import Jail
from sandbox.guest.jails.container import ContainerJail
from sandbox.guest.jails.landlock import LandlockJail
from sandbox.guest.jails.namespaces import NamespaceJail
from sandbox.guest.jails.unsafe import UnsafeJail

JAILS = {
    "namespaces": NamespaceJail,
    "landlock": LandlockJail,
    "docker": ContainerJail,
    "unsafe": UnsafeJail,
}

__all__ = ["JAILS", "ContainerJail", "Jail", "LandlockJail", "NamespaceJail", "UnsafeJail"]
