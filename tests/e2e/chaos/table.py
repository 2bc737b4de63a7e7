"""What came of a run: one table, for the terminal or for a page."""

from collections import Counter

KINDS = ("outside", "apart", "away", "one way", "alone", "forced", "lost")
WORDS = {
    "outside": "duplicates outside of the declared window",
    "apart": "duplicates inside: both sides had taken over",
    "away": "duplicates inside: a daemon was away for a dead interval, its HA was not",
    "one way": "duplicates inside: one side had taken over, the other still heard it",
    "alone": "duplicates inside: one side had taken over, the other not yet",
    "forced": "duplicates inside: takeover --force",
    "lost": "duplicates inside: a session that outlived its rebooted host, or its daemon's state",
}


def summed(results, key):
    return sum((Counter(one[key]) for one in results), Counter())


def total_of(results):
    """One result of all pairs."""
    whole = {
        "pairs": len(results),
        "dead-intervals-s": sorted({one["dead-interval-s"] for one in results}),
        "longest": [{key: one[key] for key in one if key == "pair" or key.startswith(("serve", "alone"))}
                    for one in results],
        "violations": [text for one in results for text in one["violations"]],
        "serve": [(one["serve-s"], one["serve-bound-s"], one["dead-interval-s"]) for one in results],
        "alone": [(one["alone-s"], one["alone-bound-s"], one["dead-interval-s"]) for one in results],
    }
    for key in ("faults", "duplicates", "same-node", "log", "relay", "refusals", "orders"):
        whole[key] = dict(summed(results, key))
    for key in ("episodes", "grants", "recovered", "moves", "losses", "starts", "lost-datagrams"):
        whole[key] = sum(one[key] for one in results)
    return whole


def longest(times):
    """The longest of each dead interval against its bound."""
    lines = []
    for dead in sorted({of for _, _, of in times}):
        took, bound = max((took, bound) for took, bound, of in times if of == dead)
        lines.append(f"{took:.1f} s of {bound:.1f} s (dead interval {dead:g} s)")
    return "; ".join(lines)


def rows(whole):
    """(what, how much), with None for a line between two parts."""
    yield from sorted((f"fault: {kind}", count) for kind, count in whole["faults"].items())
    relay = whole["relay"]
    yield None
    yield "datagrams between the sides", relay.get("datagrams", 0)
    yield "lost by nft", whole["lost-datagrams"]
    for word in ("delayed", "overtook", "repeated", "corrupted", "replayed"):
        yield ("overtaken" if word == "overtook" else word) + " by the relay", relay.get(word, 0)
    yield None
    yield "faults injected", sum(whole["faults"].values())
    yield "episodes, each followed by a check of everything", whole["episodes"]
    yield "starts of a daemon", whole["starts"]
    yield "takeovers by dead interval; by force", "{}; {}".format(
        whole["log"].get("takeovers", 0), whole["log"].get("forced takeovers", 0))
    yield "healings", whole["log"].get("healings", 0)
    yield "grants to sessions", whole["grants"]
    yield "sessions that outlived a reboot or a lost state, asked for again", whole["recovered"]
    yield "nodes that moved with their address", whole["moves"]
    yield None
    for kind in KINDS:
        yield WORDS[kind], whole["duplicates"].get(kind, 0)
    yield "of these still there at healing, all found, resolved, in log and counter", \
        whole["log"].get("duplicates reported", 0)
    yield "the same node on both sides (a handoff at healing)", sum(whole["same-node"].values())
    yield "losses (addresses without an owner, sessions forgotten)", whole["losses"]
    yield "longest till both sides serve again, of the bound", longest(whole["serve"])
    yield "longest without any side serving while a fault lasts, of the bound", longest(whole["alone"])
    yield "times that a secondary was kept from taking over (S6), not in the line above", \
        whole["log"].get("kept back by S6", 0)
    yield "violations", len(whole["violations"])


def text(whole):
    lines = []
    for row in rows(whole):
        lines.append("-" * 78 if row is None else f"{row[0]:<66} {row[1]}")
    return "\n".join(lines)


def markdown(whole):
    lines = ["| what | how much |", "|---|---|"]
    lines += [f"| {row[0]} | {row[1]} |" for row in rows(whole) if row is not None]
    return "\n".join(lines)
