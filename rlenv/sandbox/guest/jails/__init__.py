"""Where runs live: what each backend takes away from a process."""

from rlenv.sandbox.guest.jails.base import Jail
from rlenv.sandbox.guest.jails.container import ContainerJail
from rlenv.sandbox.guest.jails.landlock import LandlockJail
from rlenv.sandbox.guest.jails.namespaces import NamespaceJail
from rlenv.sandbox.guest.jails.unsafe import UnsafeJail

JAILS = {
    "namespaces": NamespaceJail,
    "landlock": LandlockJail,
    "docker": ContainerJail,
    "unsafe": UnsafeJail,
}

__all__ = ["JAILS", "ContainerJail", "Jail", "LandlockJail", "NamespaceJail", "UnsafeJail"]
