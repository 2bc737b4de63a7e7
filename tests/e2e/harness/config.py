"""Configuration files for the daemons under test."""

from dataclasses import dataclass, field

POOL_A = {"name": "pool-a", "network": "10.1.0.0/16", "type": "public", "priority": 0, "group": "dyn"}


@dataclass
class Ipsp:
    """The pool-share-protocol of one side. @role is this side's own; the file names the peer's."""

    role: str
    address: str
    peer: str
    prefix_length: int
    port: int
    interface: str = "ipsp-lan"
    key_file: str | None = None
    device: str | None = None
    options: dict = field(default_factory=dict)  # further keys, by their names in the file


@dataclass
class Context:
    context: str = "isp1"
    pools: list = field(default_factory=lambda: [dict(POOL_A)])
    ipsp: Ipsp | None = None

    def text(self):
        return "".join(
            [
                f'  {{ name = "{self.context}";\n',
                "    pools = (\n      ",
                ",\n      ".join(group(pool) for pool in self.pools),
                "\n    );\n",
                self._interfaces(),
                "  }",
            ]
        )

    def _interfaces(self):
        if self.ipsp is None:
            return ""
        side = self.ipsp
        protocol = {"secondary" if side.role == "primary" else "primary": side.peer,
                    "port": side.port}
        if side.key_file:
            protocol["key-file"] = side.key_file
        protocol.update(side.options)
        interface = f'name = "{side.interface}"; address = "{side.address}/{side.prefix_length}";'
        if side.device:
            interface += f' device = "{side.device}";'
        return (
            f"    interfaces = (\n      {{ {interface}\n"
            f"        pool-share-protocol = {group(protocol)}; }} );\n"
        )


@dataclass
class Config(Context):
    """A file with one context, which is what most tests need; @others are further ones."""

    socket: str = ""
    state: str = ""
    others: list = field(default_factory=list)
    sinks: list = field(default_factory=list)  # (host, port, inform)
    group: str = ""  # who may use the control socket
    gateway_group: str = ""
    status_group: str = ""
    extra: str = ""  # any text at the top level

    def text(self):
        return "".join(
            [
                f'control = {{ socket = "{self.socket}";{self._group()} }};\n',
                f'state-directory = "{self.state}";\n',
                self._snmp(),
                self.extra,
                "contexts = (\n",
                ",\n".join([super().text(), *(other.text() for other in self.others)]),
                " );\n",
            ]
        )

    def _group(self):
        keys = {"group": self.group, "gateway-group": self.gateway_group,
                "status-group": self.status_group}
        return "".join(f' {key} = "{name}";' for key, name in keys.items() if name)

    def _snmp(self):
        if not self.sinks:
            return ""
        sinks = ",\n    ".join(
            group({"host": host, "port": port, "version": "2c", "community": "public",
                   "inform": inform})
            for host, port, inform in self.sinks
        )
        return f"snmp = {{\n  sinks = (\n    {sinks} );\n}};\n"


def value(thing):
    if isinstance(thing, bool):
        return "true" if thing else "false"
    if isinstance(thing, int):
        return str(thing)
    if isinstance(thing, (list, tuple)):
        return "[ " + ", ".join(value(item) for item in thing) + " ]"
    return f'"{thing}"'


def group(settings):
    return "{ " + " ".join(f"{key} = {value(thing)};" for key, thing in settings.items()) + " }"
