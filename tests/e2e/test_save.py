#!/usr/bin/env python3
"""save configuration: what was changed at run time is in the file, all else in it is as it was, the old file
is kept, and a daemon that is started with the new one does what the old one did."""

import os
import stat
import sys

from harness.pair import Case, main, write_key

FILE = """\
# The pair's first side.        Kept by hand; don't reorder!
control = {{ socket = "{socket}"; }};   // who may use it
state-directory = "{state}";

/* two contexts,
   one of which stays as it is */
contexts = (
\t{{ name = "isp1";   # the first
\t  pools = ( {{ name = "pool-a"; network = "10.1.0.0/16"; }} );   # 65,534 of them
\t  interfaces = (
\t\t{{ name = "lan"; address = "127.0.0.1/8";
\t\t   # what follows is the upgrade's
\t\t   pool-share-protocol = {{
\t\t\tsecondary = "127.0.0.2";    # ha2
\t\t\tkey-file = "{key}";
\t\t\tport = {port};
{mode}\t\t   }};
\t\t}} );
\t}},
\t{{ name = "isp2"; pools = ( {{ name = "pool-b"; network = "10.2.0.0/16"; }} );
\t  interfaces = ( {{ name = "lan2"; address = "127.0.0.1/8";
\t    pool-share-protocol = {{ secondary = "127.0.0.3"; auth = "none"; port = {port2}; mode = "check-config"; }}; }} );
\t}}
);
# the end
"""


class Save(Case):
    def start(self, mode=""):
        self.one = self.host()
        key = write_key(os.path.join(self.one.folder, "key"), b"\x11" * 32)
        base = 20000 + os.getpid() % 20000  # nobody is there to be heard: any two ports
        self.text = FILE.format(socket=self.one.socket, state=self.one.config.state, key=key,
                                port=base, port2=base + 1, mode=mode)
        self.write(self.text)
        os.chmod(self.one.file, 0o640)
        self.one.launch()
        self.one.wait_ready()
        return self.one

    def write(self, text):
        with open(self.one.file, "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, suffix=""):
        with open(self.one.file + suffix, encoding="utf-8") as file:
            return file.read()

    def mode(self, context):
        return self.one.status(context)["mode"]

    def again(self):
        """The same daemon, started anew with what is in the file now."""
        self.assertEqual(self.one.stop(), 0)
        self.one.launch()
        self.one.wait_ready()

    def test_the_mode(self):
        host = self.start(mode='\t\t\tmode = "active";   # from the first day\n')
        address = host.do("-c", "isp1", "request", "u1@isp", "--session", "s1").split()[0]
        host.do("-c", "isp1", "pool-share-protocol", "mode", "inactive")
        self.assertEqual(self.read(), self.text, "written without being asked")
        host.do("save", "configuration")
        self.assertEqual(self.read(), self.text.replace('mode = "active";   # from',
                                                        'mode = "inactive";   # from'))
        self.assertEqual(self.read("~"), self.text, "the backup")
        self.assertEqual(stat.S_IMODE(os.stat(host.file).st_mode), 0o640)
        self.assertEqual(set(os.listdir(host.folder)) & {"ipspd.conf", "ipspd.conf~"},
                         {"ipspd.conf", "ipspd.conf~"})
        self.again()
        self.assertEqual((self.mode("isp1"), self.mode("isp2")), ("inactive", "check-config"))
        self.assertEqual(list(host.look("-c", "isp1", "show", "sessions")["sessions"][0].values())[0],
                         address)

    def test_a_mode_where_none_was_written(self):
        host = self.start()
        host.do("-c", "isp1", "pool-share-protocol", "mode", "check-config")
        host.do("save", "configuration")
        new = self.read().splitlines()
        for line in self.text.splitlines():
            self.assertIn(line, new)
            new.remove(line)
        self.assertEqual([line.strip() for line in new], ['mode = "check-config";'])
        self.again()
        self.assertEqual(self.mode("isp1"), "check-config")
        # and back, which needs no word in the file
        host.do("-c", "isp1", "pool-share-protocol", "mode", "active")
        host.do("save", "configuration")
        self.assertIn('mode = "active";', self.read())
        self.again()
        self.assertEqual(self.mode("isp1"), "active")

    def test_no_pool_share_protocol(self):
        host = self.start()
        host.do("-c", "isp1", "no", "pool-share-protocol")
        host.do("save", "configuration")
        saved = self.read()
        self.assertEqual(saved.count("pool-share-protocol"), 1, "that of isp2")
        self.assertNotIn('secondary = "127.0.0.2"', saved)
        for kept in ("Kept by hand; don't reorder!", "// who may use it", "one of which stays",
                     "# the first", "# 65,534 of them", "# what follows is the upgrade's", "# the end",
                     '"127.0.0.3"'):
            self.assertIn(kept, saved)
        self.assertEqual(self.read("~"), self.text)
        self.again()
        self.assertEqual(host.status("isp1")["state"], "disabled")
        self.assertEqual(self.mode("isp2"), "check-config")
        self.assertRegex(host.do("-c", "isp1", "request", "u1@isp"), r"10\.1\.")
        host.do("reload")

    def test_nothing_to_save(self):
        host = self.start()
        before = os.stat(host.file)
        host.do("save", "configuration")
        self.assertEqual(self.read(), self.text)
        self.assertEqual(os.stat(host.file).st_ino, before.st_ino)

    def test_refused_when_the_file_says_something_else(self):
        """The operator has edited the file meanwhile, and not well: it is left alone, with the reason."""
        host = self.start()
        host.do("-c", "isp1", "pool-share-protocol", "mode", "inactive")
        for text in (self.text.replace('"isp1"', '"other"'), self.text.replace("contexts = (", "contexts"),
                     ""):
            self.write(text)
            refused = host.ctl("save", "configuration")
            self.assertEqual(refused.returncode, 1)
            self.assertIn("ipspd.conf", refused.stderr)
            self.assertEqual(self.read(), text)


if __name__ == "__main__":
    sys.exit(main())
