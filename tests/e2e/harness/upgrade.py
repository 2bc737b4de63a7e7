"""The chapter's story, from the first session to the way back: what three tests run, undisturbed, with
kills, and with loss.

HA1 serves; IPSP is enabled on HA2, then on HA1; new sessions go to HA2; HA1's sessions move there one
by one, with their addresses; the last release brings the trap and exchanges the roles; both serve.
Then HA1's configured role is changed, HA2's after it, and everything goes back.
"""

from .host import total

TRAP = "starIPSPAllAddrsFree"


class Upgrade:
    def __init__(self, case, pair, old=20000, new=2000, after=100, patience=120, disturb=None,
                 before_handover=None):
        self.case = case
        self.pair = pair
        self.old, self.new, self.after = old, new, after
        self.patience = patience  # seconds for each stretch of work
        self.disturb = disturb or (lambda done, of_all: True)  # True: nothing is down
        self.before_handover = before_handover or (lambda: None)
        self.first, self.second = pair.hosts
        self.ha1 = self.ha2 = None
        self.exact = True  # each trap exactly once; False: at least once

    def run(self):
        self.serve_alone()
        self.enable()
        self.new_sessions()
        self.hand_over(self.ha1, self.ha2, 0)
        self.both_serve("there")
        self.exchange_configuration()
        self.hand_over(self.ha2, self.ha1, 1)
        self.both_serve("back")
        self.end()

    # ---------------------------------------------------------------- the steps

    def serve_alone(self):
        """HA1 without IPSP: it serves as it always has."""
        self.say(f"ha1 opens {self.old} sessions, IPSP not enabled")
        self.first.start()
        self.ha1 = self.pair.gateway(0)
        for number in range(self.old):
            self.ha1.request(f"u{number}@isp", f"ha1-{number}")
        self.pair.work(self.patience, "the first sessions")
        self.case.assertEqual(len(self.pair.ledger), self.old)

    def enable(self):
        """O3: the secondary first, then the primary, which must not lose or touch a session."""
        self.say("IPSP is enabled on ha2, then on ha1")
        before = dict(self.ha1.sessions())
        self.pair.ipsp(1, "secondary")
        self.second.start()
        self.case.assertEqual(
            self.second.ctl("request", "early@isp").returncode, 1, "ha2 served without its primary"
        )
        self.ha2 = self.pair.gateway(1)
        self.pair.ipsp(0, "primary")
        self.first.write_config()
        self.first.do("reload")
        self.pair.wait_sharing(self.patience)
        self.pair.check_ledger()
        self.case.assertEqual(self.ha1.sessions(), before, "enabling touched sessions")
        self.case.assertEqual(self.ha1.reasons, {}, "enabling asked for releases")
        self.case.assertEqual(self.ha1.attaches, 1, "enabling cut the gateway off")

    def new_sessions(self):
        self.say(f"{self.new} new sessions on ha2")
        for number in range(self.new):
            self.ha2.request(f"n{number}@isp", f"ha2-n{number}")
        self.pair.work(self.patience, "the new sessions")
        self.case.assertEqual(len(self.ha2.sessions()), self.new)

    def hand_over(self, giver, taker, number):
        """Every session of @giver is asked for by @taker, with its address."""
        moving = dict(giver.sessions())
        self.say(f"{len(moving)} sessions move from {giver.name} to {taker.name}")
        traps_before = len(self.pair.traps(number, TRAP))
        taken_before = len(taker.sessions())
        self.before_handover()
        for address, (subscriber, session) in moving.items():
            taker.request(subscriber, f"{taker.name}-{session}", address)
        self.pair.loop.until(
            lambda: self._moved(taker, taken_before, len(moving)), self.patience * 3,
            lambda: f"the handover to {taker.name}, {taker.open_jobs()} open\n{self.pair.story()}",
        )
        self.case.assertEqual(giver.sessions(), {})
        for address, (subscriber, _) in moving.items():
            holder = self.pair.ledger.holder(address)
            self.case.assertEqual(holder and holder[:2], (taker.name, subscriber), address)
        self.case.assertEqual(set(moving) - set(giver.asked), set(), "released without being asked")
        self._all_free(giver, number, traps_before)

    def _moved(self, taker, taken_before, count):
        done = len(taker.sessions()) - taken_before
        undisturbed = self.disturb(done, count)
        return undisturbed and done >= count and all(gateway.idle() for gateway in self.pair.gateways)

    def _all_free(self, giver, number, traps_before):
        """P6: the trap, by its name, and the exchange of roles."""
        host = self.pair.hosts[number]
        self.pair.loop.until(
            lambda: len(self.pair.traps(number, TRAP)) > traps_before, 60,
            lambda: f"the trap of {giver.name}\n{self.pair.story()}",
        )
        trap = self.pair.traps(number, TRAP)[-1]
        self.case.assertRegex(trap, r'starContextName\S* = STRING: "?isp1')
        self.case.assertRegex(trap, r'starInterfaceName\S* = STRING: "?lan-' + host.name)
        roles = ("secondary", "primary") if number == 0 else ("primary", "secondary")
        self.pair.wait_roles(*roles)
        status = host.status()
        self.case.assertEqual(total(status, "used"), 0)
        self.case.assertTrue(status["all-free"], "it would not be safe to stop this side")
        self.pair.settle(60)
        self.say(f"the trap came: {trap.partition('|')[2]}")

    def both_serve(self, when):
        """Both sides go on serving; what is opened on the side that is to be free ends again there."""
        self.say("both sides go on serving")
        for gateway in (self.ha1, self.ha2):
            before = len(gateway.sessions())
            for number in range(self.after):
                gateway.request(f"{when}{number}@isp", f"{gateway.name}-{when}{number}")
            self.pair.work(self.patience, f"sessions on {gateway.name}")
            self.case.assertEqual(len(gateway.sessions()), before + self.after)
        free_side = self.ha1 if when == "there" else self.ha2
        for address in list(free_side.sessions()):
            free_side.release(address)
        self.pair.work(self.patience, "the releases")
        self.pair.check_ledger()

    def exchange_configuration(self):
        """The upgrade of HA1: stopped, started with the other role; then HA2's file is read again."""
        self.say("ha1 is upgraded and comes back as secondary")
        self.ha1.close()
        self.case.assertEqual(self.first.stop(), 0)
        self.pair.ipsp(0, "secondary")
        self.first.start()
        self.ha1.attach()
        self.pair.ipsp(1, "primary")
        self.second.write_config()
        self.second.do("reload")
        self.pair.loop.until(lambda: self.ha1.attached, 30, "ha1 to attach")
        self.pair.wait_sharing(self.patience)
        self.case.assertEqual(self.pair.roles(), ("secondary", "primary"))

    def end(self):
        """Nobody holds an address twice, none is missing, and every trap came as often as it should."""
        self.pair.loop.until(self._quiet, 30, "the end of the traps")
        self.pair.settle(60)
        self.pair.check_ledger()
        for number, name in enumerate(("ha1", "ha2")):
            traps = len(self.pair.traps(number, TRAP))
            if self.exact:
                self.case.assertEqual(traps, 1, f"traps of {name}")
            else:
                self.case.assertGreaterEqual(traps, 1, f"traps of {name}")
        self.case.assertEqual(len(self.ha1.sessions()), self.old + self.new + 2 * self.after)

    def _quiet(self):
        """A second trap, if there is one, had three seconds to come."""
        for _ in range(60):
            self.pair.loop.turn(0.05)
        return True

    def say(self, text):
        self.case.say(text)
