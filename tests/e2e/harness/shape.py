"""The members that show ip ipsp --json has in every state, each with what it may be. More than these may be
there; programs hold on to these."""

TEXT, NUMBER, BOOL = str, int, bool
ROLES = {"primary", "secondary", "none"}
STATES = {
    "disabled", "inactive", "checking", "connecting", "config-mismatch", "locked", "active", "peer-lost",
    "peer-down", "reconciling", "terminated",
}
PEER_STATES = {"unknown", "up", "lost", "down", "stopped"}
WAITS = {"peer", "lease", "healing", "silence", "first-grant", "veto", "unheard", "link"}

CONTEXT = {
    "name": TEXT, "interface": (TEXT, None), "mode": {"active", "inactive", "check-config"},
    "configured-role": ROLES, "role": ROLES, "state": STATES, "epoch": NUMBER, "draining": BOOL,
    "all-free": BOOL, "serving": BOOL, "waiting-for": (*WAITS, None), "waiting-ms": (NUMBER, None),
    "may-take-over": BOOL, "role-on-loan": BOOL, "address": (TEXT, None), "port": (NUMBER, None),
    "dead-interval-ms": (NUMBER, None), "link": dict,
    "key-fingerprint": (TEXT, None), "notes": list, "peer": dict, "pools": list, "totals": dict,
    "counters": dict,
}
LINK = {"bound": BOOL, "error": (TEXT, None)}
PEER = {
    "address": (TEXT, None), "role": ROLES, "state": PEER_STATES, "last-heard-ms": (NUMBER, None),
    "dead-in-ms": (NUMBER, None), "version": (TEXT, None), "key-match": (BOOL, None),
}
POOL = {
    "name": TEXT, "group": (TEXT, None), "type": {"public", "private"}, "priority": NUMBER, "size": NUMBER,
    "used": NUMBER, "free": NUMBER, "hold": NUMBER, "quarantine": NUMBER, "released": NUMBER,
    "in-transit": NUMBER, "reclaimed": NUMBER,
}
COUNTERS = {"grants-sent": NUMBER, "duplicates-resolved": NUMBER, "duplicates-open": NUMBER}


def _fits(value, wanted):
    if isinstance(wanted, (set, tuple)):
        return any(_fits(value, one) for one in wanted)
    if isinstance(wanted, type):
        return type(value) is wanted
    return value == wanted


def _check(thing, members, where):
    for name, wanted in members.items():
        assert name in thing, f"{where}: {name} is missing"
        assert _fits(thing[name], wanted), f"{where}: {name} is {thing[name]!r}"


def check(status):
    """Of one context."""
    _check(status, CONTEXT, status.get("name"))
    _check(status["peer"], PEER, "peer")
    _check(status["link"], LINK, "link")
    _check(status["counters"], COUNTERS, "counters")
    for pool in status["pools"]:
        _check(pool, POOL, pool.get("name"))
        counts = ("used", "free", "hold", "quarantine", "released", "in-transit")
        assert sum(pool[count] for count in counts) == pool["size"], f"the counts of {pool}"
    for count, number in status["totals"].items():
        assert number == sum(pool[count] for pool in status["pools"]), f"the total of {count}"
    for note in status["notes"]:
        assert type(note) is str and note, f"a note is {note!r}"
    waits, lost = status["waiting-for"] is not None, status["peer"]["state"] == "lost"
    assert waits or status["waiting-ms"] is None, "it waits for nothing, and for how long"
    assert lost or status["peer"]["dead-in-ms"] is None, "dead-in-ms of a peer that is not lost"
    return status
