#!/usr/bin/env python3
"""Two hosts with four contexts, of different roles, peers' ports, keys and states, all at once: each context
goes its own way."""

import os
import sys

from harness.config import Context, Ipsp
from harness.host import total
from harness.net import free_udp_port
from harness.pair import Case, main, write_key

# context, role of the first host, its pool (the same addresses may be in several contexts)
CONTEXTS = (("isp1", "primary", "10.1.0.0/24"), ("isp2", "secondary", "10.2.0.0/24"),
            ("isp3", "primary", "10.1.0.0/24"), ("isp4", "secondary", "10.4.0.0/25"))
ALONE = "isp5"  # on the first host only, without IPSP


class Contexts(Case):
    def setUp(self):
        super().setUp()
        self.two = pair = self.pair(trapd=False)
        for index, (name, role, network) in enumerate(CONTEXTS):
            port = free_udp_port(pair.net.addresses)
            key = write_key(os.path.join(pair.folder, f"{name}.key"), bytes([index + 1]) * 32)
            for number, host in enumerate(pair.hosts):
                here = role if number == 0 else {"primary": "secondary"}.get(role, "primary")
                options = {"dead-interval-ms": 4000, "hello-interval-ms": 100}
                context = Context(
                    context=name, pools=[{"name": "pool", "network": network}],
                    ipsp=Ipsp(role=here, address=pair.net.addresses[number],
                              peer=pair.net.addresses[1 - number], port=port,
                              prefix_length=pair.net.prefix_length, interface=f"lan{index}",
                              key_file=key, options=options))
                if index == 0:
                    first = host.config
                    first.context, first.pools, first.ipsp = name, context.pools, context.ipsp
                else:
                    host.config.others.append(context)
        pair.hosts[0].config.others.append(
            Context(context=ALONE, pools=[{"name": "pool", "network": "10.5.0.0/24"}]))
        for host in pair.hosts:
            host.start()
        self.names = [name for name, _, _ in CONTEXTS]
        pair.loop.until(self.all_share, 30, lambda: f"all contexts to share\n{pair.story()}")

    def states(self, number):
        return {row["name"]: row
                for row in self.two.hosts[number].look("show", "ip", "ipsp")["contexts"]}

    def all_share(self):
        return all(self.shares(number, name) for number in (0, 1) for name in self.names)

    def shares(self, number, name):
        row = self.states(number)[name]
        return row["state"] == "active" and row["serving"] and row["peer"]["state"] == "up"

    def test_each_goes_its_own_way(self):
        pair = self.two
        first, second = pair.hosts
        # Roles as configured, in every context.
        self.assertEqual([self.states(0)[name]["role"] for name in self.names],
                         [role for _, role, _ in CONTEXTS])
        # A command must say which context it is for.
        refused = first.ctl("drain")
        self.assertIn(refused.returncode, (1, 2))
        self.assertIn("-c", refused.stderr)
        self.assertIn("unknown-context", first.ctl("-c", "isp9", "drain").stderr)

        # The same subscriber and session in two contexts with the same addresses: two sessions.
        given = {name: first.do("-c", name, "request", "u@isp", "--session", "s").split()[0]
                 for name in (*self.names, ALONE)}
        self.assertEqual(given["isp1"], given["isp3"])
        self.assertTrue(given["isp2"].startswith("10.2.") and given["isp4"].startswith("10.4."))
        for name, address in given.items():
            rows = first.look("-c", name, "show", "sessions")["sessions"]
            self.assertEqual([row["address"] for row in rows], [address])

        # One is handed over, one drained, one terminated, one left in peace: each by itself.
        self.assertEqual(
            second.do("-c", "isp1", "request", "u@isp", "--address", given["isp1"]).split()[0],
            given["isp1"])
        self.assertEqual(
            [row["address"] for row in first.look("-c", "isp3", "show", "sessions")["sessions"]],
            [given["isp3"]], "a handover in isp1 ended a session in isp3")
        # (isp1's last session on its primary has gone: the roles have changed, in isp1 only)
        pair.loop.until(lambda: self.states(0)["isp1"]["role"] == "secondary", 10, pair.story)
        self.assertEqual(self.states(0)["isp3"]["role"], "primary")
        first.do("-c", "isp3", "drain")
        first.do("-c", "isp4", "takeover")
        pair.loop.until(lambda: self.states(0)["isp4"]["role"] == "primary", 10, pair.story)
        rows = self.states(0)
        self.assertEqual([rows[name]["draining"] for name in self.names],
                         [False, False, True, False])
        self.assertIn("draining", first.ctl("-c", "isp3", "request", "x@isp").stderr)
        for name in ("isp1", "isp2", "isp4", ALONE):
            first.do("-c", name, "request", f"x-{name}@isp")
        self.assertEqual(rows[ALONE]["state"], "disabled")
        self.assertEqual(rows["isp2"]["role"], "secondary")

        # A daemon is one for all contexts: when the second dies, each takes over by its own rule.
        second.kill9()
        down = {"isp1", "isp2", "isp3", "isp4"}
        pair.loop.until(
            lambda: all(self.states(0)[name]["state"] == "peer-down" for name in down), 10,
            lambda: f"takeovers: {[(n, r['state']) for n, r in self.states(0).items()]}")
        for name in self.names:
            self.assertEqual(self.states(0)[name]["role"], "primary")
        second.launch()
        second.wait_ready()
        first.do("-c", "isp3", "undrain")
        pair.loop.until(self.all_share, 20, lambda: f"all contexts to share\n{pair.story()}")
        pair.loop.until(
            lambda: all(total(self.states(0)[name], "in-transit") == 0
                        and total(self.states(1)[name], "in-transit") == 0
                        and total(self.states(0)[name], "released")
                        + total(self.states(1)[name], "released")
                        == self.states(0)[name]["pools"][0]["size"] for name in self.names),
            20, "the books to agree")

    def test_one_context_reloaded_the_others_untouched(self):
        """no pool-share-protocol by file in one context is refused, and then nothing of the file is
        taken; what may change in another one is taken when the file is good."""
        pair = self.two
        host = pair.hosts[0]
        kept = host.config.others[1]  # isp3
        for number in range(20):
            pair.hosts[1].do("-c", "isp3", "request", f"u{number}@isp")
        ipsp, kept.ipsp = kept.ipsp, None
        host.config.others[0].ipsp.options["block-size"] = 7
        host.write_config()
        refused = host.ctl("reload")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("isp3", refused.stderr)
        self.assertTrue(self.all_share())
        kept.ipsp = ipsp
        host.write_config()
        host.do("reload")
        self.assertTrue(self.all_share())
        # A further context, at run time.
        host.config.others.append(
            Context(context="isp6", pools=[{"name": "pool", "network": "10.6.0.0/24"}]))
        host.write_config()
        host.do("reload")
        self.assertRegex(host.do("-c", "isp6", "request", "u@isp"), r"10\.6\.0\.")
        self.assertTrue(self.all_share())


if __name__ == "__main__":
    sys.exit(main())
