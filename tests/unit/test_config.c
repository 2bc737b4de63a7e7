/* test_config - the configuration file: each fault on its line, each value in its place, and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "daemon/config.h"
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/ipspd-config-XXXXXX"; /* of this run, removed at its end */
static char said[16384];			/* every fault: "LINE: key: text" */

static const char *path_of(const char *name)
{
	static char path[4][128];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void put(const char *name, mode_t mode, const void *bytes, size_t n)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* Writes the configuration; each "%D" of @text becomes the folder. */
static void put_conf(const char *text)
{
	char out[16384];
	size_t n = 0;

	for (const char *p = text; *p; p++) {
		if (p[0] == '%' && p[1] == 'D') {
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s", dir);
			p++;
		} else {
			out[n++] = *p;
		}
	}
	put("conf", 0640, out, n);
}

static char *slurp(const char *name)
{
	FILE *f = fopen(path_of(name), "r");
	char *text = calloc(1, 65536);

	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}

static bool hear_devices; /* and one secret serves several contexts on devices of their own */
static bool hear_empty;	  /* many of the files here have no pool, which is worth a warning */

static void hear(void *arg, bool warning, const char *text)
{
	size_t n = strlen(said), n_path = strlen(path_of("conf"));

	(void)arg;
	if (!hear_empty && warning && strstr(text, "pools: warning: the list is empty"))
		return;
	if (!hear_devices && warning && strstr(text, "addresses and port, on another device"))
		return;
	assert_memory_equal(text, path_of("conf"), n_path);
	assert_int_equal(text[n_path], ':');
	assert_true(!strstr(text, ": warning: ") == !warning);
	snprintf(said + n, sizeof(said) - n, "%s\n", text + n_path + 1);
}

static int read_conf(struct ipspd_config *config)
{
	said[0] = '\0';
	return ipspd_config_read(path_of("conf"), config, hear, NULL);
}

/* @text gives exactly these faults: each line of @want is "LINE: key: " and words that the text
 * has. */
static void expect(const char *text, const char *want)
{
	struct ipspd_config config;
	char *rest = said;

	put_conf(text);
	assert_int_equal(read_conf(&config), IPSP_ERR_INVALID);
	while (*want) {
		size_t n = strcspn(want, "\n"), n_key = 0;
		char line[512], words[512];
		char *end = strchr(rest, '\n');

		for (int colons = 0; colons < 2; n_key++)
			colons += want[n_key] == ':';
		snprintf(words, sizeof(words), "%.*s", (int)(n - n_key - 1), want + n_key + 1);
		if (!end)
			fail_msg("not told: %.*s\nall that was:\n%s", (int)n, want, said);
		snprintf(line, sizeof(line), "%.*s", (int)(end - rest), rest);
		if (strncmp(line, want, n_key) != 0 || !strstr(line, words))
			fail_msg("told: %s\nwanted: %.*s\nall that was:\n%s", line, (int)n, want,
				 said);
		rest = end + 1;
		want += n + (want[n] == '\n');
	}
	if (*rest)
		fail_msg("told beside: %s", rest);
}

/* One context with these pools and this pool-share-protocol; pools begin on line 2, the keys on
 * line 6. */
static void expect_in(const char *pools, const char *psp, const char *want)
{
	char text[8192];

	snprintf(text, sizeof(text),
		 "contexts = ( { name = \"isp1\"; pools = (\n%s\n);\n"
		 "interfaces = ( { name = \"lan\"; address = \"192.0.2.1/24\";\n"
		 "pool-share-protocol = {\n%s\n}; } ); } );\n",
		 pools, psp);
	expect(text, want);
}

#define POOL   "{ name = \"pool-a\"; network = \"10.1.0.0/24\"; }"
#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PSP    "secondary = \"192.0.2.2\"; key-file = \"%D/key\";"

/* An interface with this address (and device), whose peer is on the same network. */
static void expect_zone(const char *address, const char *more, const char *peer, const char *want)
{
	char text[1024];
	struct ipspd_config config;

	snprintf(text, sizeof(text),
		 "contexts = ( { name = \"c\"; pools = (); interfaces = ( { name = \"a\";\n"
		 "address = \"%s\"; %s\npool-share-protocol = { auth = \"none\";\n"
		 "secondary = \"%s\"; } } ); } );",
		 address, more, peer);
	if (*want) {
		expect(text, want);
		return;
	}
	put_conf(text);
	assert_int_equal(read_conf(&config), 0);
	assert_string_equal(config.contexts[0].psp.device, "eth0");
	assert_true(ipsp_addr_is_link_local(config.contexts[0].psp.address));
	assert_true(ipsp_addr_is_link_local(config.contexts[0].psp.peer));
	ipspd_config_fini(&config);
}

#define NO_AUTH "3: auth: warning\n"
/* ---------------------------------------------------------------- good files */

static void the_page_of_the_manual_is_read(void **state)
{
	struct ipspd_config config;
	const struct ipsp_context_conf *isp1;
	uint8_t key[IPSP_KEY_BYTES];

	(void)state;
	put_conf("control = { socket = \"%D/control\"; };   # who may use it\n"
		 "state-directory = \"%D\";\n"
		 "hook = \"%D/hook\";\n"
		 "snmp = {\n"
		 "  agentx = false; trap-style = \"starent\"; source = \"192.0.2.1\";\n"
		 "  sinks = (\n"
		 "    { host = \"192.0.2.50\"; port = 1162; version = \"2c\"; community = "
		 "\"public\"; inform = true; },\n"
		 "    { host = \"nms.example\"; version = \"3\"; user = \"ops\"; auth-protocol = "
		 "\"SHA-256\";\n"
		 "      auth-passphrase-file = \"%D/pass\"; priv-protocol = \"AES\";\n"
		 "      priv-passphrase-file = \"%D/pass\"; }\n"
		 "  );\n"
		 "};\n"
		 "contexts = (\n"
		 "  { name = \"isp1\";\n"
		 "    pools = (\n"
		 "      { name = \"pool-b\"; range = [ \"10.2.0.1\", \"10.2.0.254\" ]; type = "
		 "\"private\"; priority = 3;\n"
		 "        address-quarantine-timer = 60; },\n"
		 "      { name = \"pool-a\"; network = \"10.1.0.0/16\"; type = \"public\"; "
		 "priority = 0; group = \"dyn\";\n"
		 "        address-hold-timer = 0; busyout = false; },\n"
		 "      { name = \"pool-c\"; network = \"10.3.0.0/24\"; include-nw-bcast = true; "
		 "},\n"
		 "      { name = \"pool-d\"; network = \"10.4.0.0/31\"; },\n"
		 "      { name = \"v6\"; prefix = \"2001:db8::/40\"; length = 64; }\n"
		 "    );\n"
		 "    interfaces = (\n"
		 "      { name = \"other\"; address = \"198.51.100.1/24\"; },\n"
		 "      { name = \"ipsp-lan\"; address = \"192.0.2.1/24\";\n"
		 "        pool-share-protocol = { secondary = \"192.0.2.2\"; mode = \"inactive\"; "
		 "dead-interval = \"no\";\n"
		 "          reserved-free-percentage = 10; port = 5000; key-file = \"%D/key\"; "
		 "hello-interval-ms = 500;\n"
		 "          block-size = 1; request-timeout-ms = 4000; durability = \"power\"; "
		 "release-timeout-ms = 1500; takeover-when-deaf = false; };\n"
		 "      } );\n"
		 "  } );\n");
	assert_int_equal(read_conf(&config), 0);
	assert_string_equal(said, "");

	assert_int_equal(config.n_sinks, 2);
	assert_int_equal(config.trap_style, IPSPD_TRAP_STARENT);
	assert_int_equal(config.snmp_source.lo & 0xffffffff, 0xc0000201);
	assert_int_equal(config.sinks[0].port, 1162);
	assert_true(config.sinks[0].inform);
	assert_string_equal(config.sinks[0].community, "public");
	assert_string_equal(config.sinks[1].host, "nms.example");
	assert_int_equal(config.sinks[1].port, 162);
	assert_int_equal(config.sinks[1].auth, IPSPD_AUTH_SHA256);
	assert_int_equal(config.sinks[1].priv, IPSPD_PRIV_AES);
	assert_string_equal(config.sinks[1].auth_passphrase, "a passphrase");

	assert_int_equal(config.n_contexts, 1);
	isp1 = &config.contexts[0];
	assert_string_equal(isp1->name, "isp1");
	assert_int_equal(isp1->n_pools, 5);
	assert_string_equal(isp1->pools[0].name, "pool-a");
	assert_true(ipsp_addr_eq(isp1->pools[0].base, ipsp_addr_v4(0x0a010001)));
	assert_int_equal(isp1->pools[0].size, 65534);
	assert_int_equal(isp1->pools[0].netlen, 16);
	assert_string_equal(isp1->pools[0].group, "dyn");
	assert_int_equal(isp1->pools[1].size, 254);
	assert_int_equal(isp1->pools[1].type, IPSP_POOL_PRIVATE);
	assert_int_equal(isp1->pools[1].quarantine_s, 60);
	assert_int_equal(isp1->pools[1].priority, 3);
	assert_int_equal(isp1->pools[2].size, 256);
	assert_true(ipsp_addr_eq(isp1->pools[2].base, ipsp_addr_v4(0x0a030000)));
	assert_int_equal(isp1->pools[3].size, 2);
	assert_int_equal(isp1->pools[4].size, 1 << 24);
	assert_int_equal(isp1->pools[4].shift, 64);
	assert_int_equal(isp1->pools[4].plen, 64);

	assert_true(isp1->psp.enabled);
	assert_int_equal(isp1->psp.role, IPSP_ROLE_PRIMARY);
	assert_string_equal(isp1->psp.interface, "ipsp-lan");
	assert_true(ipsp_addr_eq(isp1->psp.address, ipsp_addr_v4(0xc0000201)));
	assert_true(ipsp_addr_eq(isp1->psp.peer, ipsp_addr_v4(0xc0000202)));
	assert_int_equal(isp1->psp.address_plen, 24);
	assert_int_equal(isp1->psp.mode, IPSP_MODE_INACTIVE);
	assert_int_equal(isp1->psp.dead_interval_ms, 0);
	assert_int_equal(isp1->psp.reserved_free_percentage, 10);
	assert_int_equal(isp1->psp.port, 5000);
	assert_int_equal(isp1->psp.hello_interval_ms, 500);
	assert_int_equal(isp1->psp.block_size, 1);
	assert_int_equal(isp1->psp.request_timeout_ms, 4000);
	assert_int_equal(isp1->psp.release_timeout_ms, 1500);
	assert_int_equal(isp1->psp.durability, IPSP_DURABLE_POWER);
	assert_false(isp1->psp.takeover_when_deaf);
	assert_int_equal(isp1->psp.n_keys, 1);
	crypto_generichash(key, sizeof(key), (const uint8_t *)SECRET, 64, NULL, 0);
	assert_memory_equal(isp1->psp.keys[0], key, sizeof(key));
	ipspd_config_fini(&config);
}

static void what_is_left_out_has_its_default(void **state)
{
	struct ipspd_config config;

	(void)state;
	put_conf("contexts = ( { name = \"c\"; pools = (" POOL
		 "); interfaces = ( { name = \"lan\";\n"
		 "address = \"192.0.2.2/24\"; pool-share-protocol = { primary = \"192.0.2.1\";\n"
		 "auth = \"none\"; } } ) } );\n");
	assert_int_equal(read_conf(&config), 0);
	assert_non_null(strstr(said, "3: auth: warning: "));
	assert_string_equal(config.control_socket, "/run/ipspd/control");
	assert_string_equal(config.control_group, "");
	assert_string_equal(config.state_directory, "/var/lib/ipspd");
	assert_string_equal(config.hook, "");
	assert_int_equal(config.trap_style, IPSPD_TRAP_RFC);
	assert_int_equal(config.n_sinks, 0);
	assert_int_equal(config.contexts[0].psp.role, IPSP_ROLE_SECONDARY);
	assert_int_equal(config.contexts[0].psp.dead_interval_ms, 3600000);
	assert_int_equal(config.contexts[0].psp.port, 4187);
	assert_int_equal(config.contexts[0].psp.n_keys, 0);
	assert_int_equal(config.contexts[0].psp.mode, IPSP_MODE_ACTIVE);
	ipspd_config_fini(&config);
}

static void a_context_may_be_without_ipsp(void **state)
{
	struct ipspd_config config;

	(void)state;
	put_conf("contexts = ( { name = \"c\"; pools = (" POOL "); } );\n");
	assert_int_equal(read_conf(&config), 0);
	assert_string_equal(said, "");
	assert_false(config.contexts[0].psp.enabled);
	ipspd_config_fini(&config);
}

static void each_line_of_a_key_file_is_a_key(void **state)
{
	struct ipspd_config config;
	uint8_t key[IPSP_KEY_BYTES], raw[32];

	(void)state;
	put("key2", 0600, "\n  the new secret, long \r\nthe old secret, long\n\n", 48);
	put_conf("contexts = ( { name = \"c\"; pools = (" POOL
		 "); interfaces = ( { name = \"lan\";\n"
		 "address = \"192.0.2.2/24\"; pool-share-protocol = { primary = \"192.0.2.1\";\n"
		 "key-file = \"%D/key2\"; } } ) } );\n");
	assert_int_equal(read_conf(&config), 0);
	assert_int_equal(config.contexts[0].psp.n_keys, 2);
	crypto_generichash(key, sizeof(key), (const uint8_t *)"the new secret, long", 20, NULL, 0);
	assert_memory_equal(config.contexts[0].psp.keys[0], key, sizeof(key));
	crypto_generichash(key, sizeof(key), (const uint8_t *)"the old secret, long", 20, NULL, 0);
	assert_memory_equal(config.contexts[0].psp.keys[1], key, sizeof(key));
	ipspd_config_fini(&config);

	for (size_t i = 0; i < sizeof(raw); i++) /* raw bytes, a line end among them: one key */
		raw[i] = (uint8_t)i;
	put("key2", 0400, raw, sizeof(raw));
	assert_int_equal(read_conf(&config), 0);
	assert_int_equal(config.contexts[0].psp.n_keys, 1);
	crypto_generichash(key, sizeof(key), raw, sizeof(raw), NULL, 0);
	assert_memory_equal(config.contexts[0].psp.keys[0], key, sizeof(key));
	ipspd_config_fini(&config);
	unlink(path_of("key2"));
}

/* ---------------------------------------------------------------- faults */

static void all_faults_are_told_at_once_and_in_order(void **state)
{
	(void)state;
	expect("contrl = { };\n"
	       "control = { socket = \"rel\"; grup = \"x\"; };\n"
	       "state-directory = 5;\n"
	       "hook = \"nothing\";\n"
	       "contexts = (\n"
	       "  { name = \"isp1\";\n"
	       "    pools = ( { name = \"pool-a\"; network = \"10.1.0.0/24\"; prioritty = 3; } );\n"
	       "    interfaces = ( { name = \"lan\"; address = \"192.0.2.1/24\";\n"
	       "      pool-share-protocol = { secondary = \"192.0.2.2\"; key-file = \"%D/key\";\n"
	       "        dead-interval = 24;\n"
	       "        hello-intervall-ms = 500; }; } );\n"
	       "  } );\n",
	       "1: contrl: \"control\"\n"
	       "2: socket: absolute\n"
	       "2: grup: \"group\"\n"
	       "3: state-directory: text\n"
	       "4: hook: absolute\n"
	       "7: prioritty: \"priority\"\n"
	       "10: dead-interval: 25 to 259200\n"
	       "11: hello-intervall-ms: \"hello-interval-ms\"\n");
}

static void a_file_that_is_none_is_refused(void **state)
{
	struct ipspd_config config;

	(void)state;
	expect("contexts = (\n{ name = \"a\"\n;;; }\n);\n", "3: syntax: syntax error\n");
	expect("a = 1;\na = 2;\n", "2: syntax: duplicate setting\n");
	expect("", "0: contexts: missing\n");
	expect("@include \"/tmp\"\n", "1: @include: one file\n");
	expect("x = ((((((((((((((((((1))))))))))))))))));", "1: x: too deep\n");
	expect("contexts = ();", "1: contexts: at least one\n");
	expect("contexts = ( 5 );", "1: contexts: groups\n");
	expect("contexts = { };", "1: contexts: list\n");
	put("conf", 0600, "a = 1;\0b", 8);
	assert_int_equal(read_conf(&config), IPSP_ERR_INVALID);
	assert_non_null(strstr(said, "1: file: has a NUL byte"));
	unlink(path_of("conf"));
	assert_int_equal(read_conf(&config), IPSP_ERR_INVALID);
	assert_non_null(strstr(said, "0: file: No such file"));
	assert_non_null(strstr(said, "examples"));
}

static void expect_bytes(const void *bytes, size_t n, const char *want)
{
	struct ipspd_config config;

	put("conf", 0640, bytes, n);
	assert_int_equal(read_conf(&config), IPSP_ERR_INVALID);
	if (strncmp(said, want, strcspn(want, ":")) != 0 ||
	    !strstr(said, want + strcspn(want, ":")))
		fail_msg("wanted %s\nsaid %s", want, said);
}

/* The same text with @unit bytes a character, the low one first or last. */
static size_t widened(const char *text, size_t unit, bool low_first, char *out)
{
	size_t n = strlen(text);

	memset(out, 0, n * unit);
	for (size_t i = 0; i < n; i++)
		out[i * unit + (low_first ? 0 : unit - 1)] = text[i];
	return n * unit;
}

/* What no editor shows is named. */
static void files_that_are_no_plain_text_are_named(void **state)
{
	static const char text[] = "contexts = ( { name = \"c\"; pools = ();\n } );\n";
	char out[4 * sizeof(text) + 4];
	size_t n;

	(void)state;
	expect("\xef\xbb\xbf# text\ncontexts = (\n{ name = \"c\"; pools = (); x = 1; } );",
	       "1: file: byte order mark (BOM)\n3: x: unknown key\n");
	for (size_t unit = 2; unit <= 4; unit += 2)
		for (int low_first = 0; low_first < 2; low_first++) {
			n = widened(text, unit, low_first, out);
			expect_bytes(out, n, "1: file: is UTF-16");
			memmove(out + unit, out, n);
			memset(out, 0, unit);
			memcpy(out + (low_first ? 0 : unit - 2),
			       low_first ? "\xff\xfe" : "\xfe\xff", 2);
			if (unit == 2 || low_first)
				expect_bytes(out, n + unit, "1: file: is UTF-16");
		}
	memcpy(out, text, sizeof(text)); /* with the NUL at its end */
	expect_bytes(out, sizeof(text), "3: file: has a NUL byte on this line");
	out[10] = '\0';
	expect_bytes(out, sizeof(text) - 1, "1: file: has a NUL byte");
	expect_bytes("\xef\xbb\xbf\0", 4, "1: file: has a NUL byte");
	expect("contexts = (\n { name = \xe2\x80\x9c"
	       "c\xe2\x80\x9d;\n\xc2\xa0pools = (); } );",
	       "2: syntax: '\xe2\x80\x9c' stands outside of a text\n3: syntax: quotes are \"\n");
}

static void numbers_in_quotes_are_named(void **state)
{
	(void)state;
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\"; priority = \"3\"; }",
		  PSP "\nport = \"4187\";\ndead-interval = \"60\";\nhello-interval-ms = 1.5;\n"
		      "block-size = true;\n",
		  "2: priority: \"3\" must be a number, without quotes, 0 to 10\n"
		  "7: port: \"4187\" must be a number, without quotes, 1 to 65535\n"
		  "8: dead-interval: \"60\" must be a number, without quotes; allowed are 25\n"
		  "9: hello-interval-ms: must be a whole number\n"
		  "10: block-size: must be a whole number\n");
}

/* What ipsp-monitor reads from the same file is checked with it, and kept. */
static void keys_of_the_monitor_are_taken_and_checked(void **state)
{
	static const char *const good[] = {"true", "\"/run/agentx/master\"",
					   "\"tcp:localhost:705\"", "\"127.0.0.1:705\"",
					   "\"[::1]:705\""};
	struct ipspd_config config;
	char text[512];

	(void)state;
	put_conf("http = { };\ncontexts = ( { name = \"c\"; pools = (); } );");
	assert_int_equal(read_conf(&config), 0);
	assert_string_equal(config.http_listen, "127.0.0.1:9618");
	assert_false(config.agentx);
	ipspd_config_fini(&config);
	put_conf("http = { listen = \"[::1]:80\"; };\ncontexts = ( { name = \"c\"; pools = (); } "
		 ");");
	assert_int_equal(read_conf(&config), 0);
	assert_string_equal(config.http_listen, "[::1]:80");
	ipspd_config_fini(&config);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text),
			 "snmp = { agentx = %s; };\ncontexts = ( { name = \"c\"; pools = (); } );",
			 good[i]);
		put_conf(text);
		assert_int_equal(read_conf(&config), 0);
		assert_true(config.agentx);
		ipspd_config_fini(&config);
	}
	put_conf("http = { names = ( \"ha1.example.net\", \"ha1\" ); };\ncontexts = ( { name = "
		 "\"c\"; "
		 "pools = (); } );");
	assert_int_equal(read_conf(&config), 0);
	ipspd_config_fini(&config);
	expect("http = {\nnames = ( \"ha1:80\", 7 ); };\n",
	       "0: contexts: missing\n2: names: without a port\n2: names: without a port\n");
	expect("http = {\nnames = \"ha1\"; };\n", "0: contexts: missing\n2: names: list\n");
	expect("http = {\nlisten = \"127.0.0.1\"; };\n",
	       "0: contexts: missing\n2: listen: ADDRESS:PORT\n");
	expect("http = {\nlisten = \"::1:80\"; };\nsnmp = {\nagentx = \"true\"; };\n",
	       "0: contexts: missing\n2: listen: brackets\n4: agentx: without quotes\n");
	expect("snmp = {\nagentx = 705; };\n", "0: contexts: missing\n2: agentx: absolute path\n");
	expect("snmp = {\nagentx = \"localhost:70500\"; };\n",
	       "0: contexts: missing\n2: agentx: \"HOST:PORT\"\n");
}

static void groups_of_the_socket_are_told_apart(void **state)
{
	struct ipspd_config config;

	(void)state;
	put_conf("control = { group = \"root\"; gateway-group = \"daemon\"; status-group = "
		 "\"nogroup\"; };\ncontexts = ( { name = \"c\"; pools = (); } );");
	assert_int_equal(read_conf(&config), 0);
	assert_string_equal(config.control_group, "root");
	assert_string_equal(config.gateway_group, "daemon");
	assert_string_equal(config.status_group, "nogroup");
	ipspd_config_fini(&config);
	expect("control = { group = \"root\";\ngateway-group = \"root\";\nstatus-group = "
	       "\"no-such-group\"; };\ncontexts = ( { name = \"c\"; pools = (); } );",
	       "2: gateway-group: \"root\" is group too\n3: status-group: there is no group\n");
	expect("control = {\ngateway-group = \"\";\nstatus-gruop = \"root\"; };\n",
	       "0: contexts: missing\n2: gateway-group: 1 to 63\n3: status-gruop: "
	       "\"status-group\"\n");
}

static void numbers_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	/* libconfig 1.5 takes the first for 25, a good dead interval */
	expect_in(POOL, PSP "\ndead-interval = 4294967321;", "7: dead-interval: too large\n");
	expect_in(POOL, PSP "\ndead-interval = 0x100000019;", "7: dead-interval: too large\n");
	expect_in(POOL, PSP "\ndead-interval = 4294967321L;", "7: dead-interval: 25 to 259200\n");
	expect_in(POOL, PSP "\nport = 4294967296;", "7: port: too large\n");
	expect_in(POOL, PSP "\nport = 65536;",
		  "7: port: 65536 is out of range; allowed are 1 to 65535\n");
	expect_in(POOL, PSP "\nport = 4187.5;", "7: port: whole number\n");
	expect_in(POOL, PSP "\nport = -1;", "7: port: -1 is out of range\n");
	expect_in(POOL, PSP "\nreserved-free-percentage = 101;",
		  "7: reserved-free-percentage: 0 to 100\n");
	expect_in(POOL, PSP "\ndead-interval = 259201;", "7: dead-interval: 25 to 259200\n");
	expect_in(POOL, PSP "\ndead-interval = -1;", "7: dead-interval: 25 to 259200\n");
	expect_in(POOL, PSP "\ndead-interval = \"off\";", "7: dead-interval: \"no\"\n");
}

static void pools_are_checked(void **state)
{
	(void)state;
	expect_in("{ network = \"10.1.0.0/24\"; }", PSP, "2: name: missing\n");
	expect_in("{ name = \"\"; network = \"10.1.0.0/24\"; }", PSP, "2: name: 1 to 31\n");
	expect_in("{ name = \"12345678901234567890123456789012\"; network = \"10.1.0.0/24\"; }",
		  PSP, "2: name: 1 to 31\n");
	expect_in("{ name = \"a\"; }", PSP, "2: network: exactly one\n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\";\nrange = [\"10.1.0.1\", "
		  "\"10.1.0.2\"]; }",
		  PSP, "2: network: exactly one\n");
	expect_in("{ name = \"a\"; network = \"10.1.0.7/24\"; }", PSP,
		  "2: network: \"10.1.0.0/24\"\n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0\"; }", PSP, "2: network: ADDRESS/LENGTH\n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0/33\"; }", PSP,
		  "2: network: ADDRESS/LENGTH\n");
	expect_in("{ name = \"a\"; network = \"10.0.0.0/5\"; }", PSP,
		  "2: network: lengths of 6 to 32\n");
	expect_in("{ name = \"a\"; network = \"10.0.0.0/6\"; }", PSP,
		  "2: network: bits set behind\n");
	expect_in("{ name = \"a\"; network = \"8.0.0.0/5\"; }", PSP, "2: network: 2^26\n");
	expect_in("{ name = \"a\"; range = [\"10.1.0.2\", \"10.1.0.1\"]; }", PSP,
		  "2: range: above\n");
	expect_in("{ name = \"a\"; range = [\"10.1.0.2\"]; }", PSP,
		  "2: range: first and the last\n");
	expect_in("{ name = \"a\"; range = \"10.1.0.2\"; }", PSP, "2: range: first and the last\n");
	expect_in("{ name = \"a\"; range = [\"10.1.0.2\", \"x\"]; }", PSP, "2: range: \"x\"\n");
	expect_in("{ name = \"a\"; range = [\"10.1.0.2\", \"2001:db8::1\"]; }", PSP,
		  "2: range: family\n");
	expect_in("{ name = \"a\"; range = [\"2001:db8::1\", \"2001:db8:1::1\"]; }", PSP,
		  "2: range: 2^26\n");
	expect_in("{ name = \"a\"; prefix = \"2001:db8::/32\"; }", PSP, "2: prefix: 2^32\n");
	expect_in("{ name = \"a\"; prefix = \"2001:db8::/48\"; length = 40; }", PSP,
		  "2: prefix: 48 to 128\n");
	expect_in("{ name = \"a\"; prefix = \"10.0.0.0/8\"; }", PSP, "2: prefix: IPv6\n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\"; length = 64; }", PSP,
		  "2: length: prefix only\n");
	expect_in(
		"{ name = \"a\"; range = [\"10.1.0.1\", \"10.1.0.2\"]; include-nw-bcast = true; }",
		PSP, "2: include-nw-bcast: network only\n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\"; type = \"dynamic\"; }", PSP,
		  "2: type: \"public\", \"private\", \"static\"\n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\";\npriority = 11; }", PSP,
		  "3: priority: 11 is out of range; allowed are 0 to 10\n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\";\naddress-hold-timer = 31556927; }",
		  PSP, "3: address-hold-timer: 0 to 31556926\n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\";\naddress-quarantine-timer = 19; }",
		  PSP, "3: address-quarantine-timer: 20 to 86400\n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\"; busyout = \"no\"; }", PSP,
		  "2: busyout: true or false\n");
}

/* What ipsp_conf_check finds is told on the line that has it. */
/* What is too large is said before its bits; a list without a pool is no mistake of syntax. */
static void lengths_of_nothing_have_their_sentence(void **state)
{
	struct ipspd_config config;

	(void)state;
	expect_in("{ name = \"a\"; network = \"10.0.0.0/0\"; },\n"
		  "{ name = \"b\"; network = \"0.0.0.0/0\"; },\n"
		  "{ name = \"c\"; network = \"::/0\"; },\n"
		  "{ name = \"d\"; prefix = \"::/0\"; length = 64; },\n"
		  "{ name = \"e\"; prefix = \"10.0.0.0/8\"; length = 64; },\n"
		  "{ name = \"f\"; prefix = \"2001:db8::1/40\"; length = 64; },\n"
		  "{ name = \"g\"; prefix = \"/0\"; },\n"
		  "{ name = \"h\"; network = \"/0\"; },\n"
		  "{ name = \"i\"; network = \"10.1.0.0/33\"; },\n"
		  "{ name = \"j\"; range = [ \"::\", \"::5\" ]; }",
		  PSP,
		  "2: network: \"10.0.0.0/0\" has 2^32 entries; allowed are at most 2^26 in one "
		  "pool, "
		  "lengths of 6 to 32 here\n"
		  "3: network: \"0.0.0.0/0\" has 2^32 entries\n"
		  "4: network: \"::/0\" has 2^128 entries; allowed are at most 2^26 in one pool, "
		  "lengths of 102 to 128 here\n"
		  "5: prefix: \"::/0\" has 2^64 entries; allowed are at most 2^26 in one pool, "
		  "lengths "
		  "of 38 to 64 here\n"
		  "6: prefix: is for IPv6\n"
		  "7: prefix: write \"2001:db8::/40\"\n"
		  "8: prefix: \"/0\" is not ADDRESS/LENGTH, such as \"2001:db8::/40\"\n"
		  "9: network: such as \"10.1.0.0/16\"\n"
		  "10: network: ADDRESS/LENGTH\n"
		  "11: range: begins with ::\n");
	expect_zone(
		"192.0.2.1/0", "", "192.0.2.2",
		"2: address: \"192.0.2.1/0\": a length of 0 is a network of all addresses; allowed "
		"are 1 to 32\n" NO_AUTH);
	expect_zone("::1/0", "", "::2", "2: address: 1 to 128\n" NO_AUTH);
	put_conf("contexts = ( { name = \"c\";\npools = (); } );");
	hear_empty = true;
	assert_int_equal(read_conf(&config), 0);
	hear_empty = false;
	assert_non_null(strstr(said, "2: pools: warning: the list is empty"));
	ipspd_config_fini(&config);
}

/* A pool that has the gateways' own addresses: told with the line, the pool and all of them. */
static void addresses_of_nobody_are_refused(void **state)
{
	(void)state;
	expect_in(
		"{ name = \"a\";\nnetwork = \"192.0.2.0/29\"; },\n"
		"{ name = \"b\"; range = [ \"224.0.0.1\", \"224.0.0.9\" ]; type = \"static\"; },\n"
		"{ name = \"c\"; prefix = \"fe80::/48\"; length = 64; },\n"
		"{ name = \"d\"; network = \"255.255.255.0/24\"; include-nw-bcast = true; },\n"
		"{ name = \"e\"; range = [ \"::ffff:127.0.0.1\", \"::ffff:127.0.0.2\" ]; },\n"
		"{ name = \"f\"; network = \"0.0.0.0/16\"; }, { name = \"g\"; network = "
		"\"169.254.0.0/16\"; },\n"
		"{ name = \"h\"; prefix = \"::/110\"; length = 128; }",
		PSP,
		"3: network: pool \"a\" has addresses that no subscriber may get: 192.0.2.1 (this "
		"side's interface address), 192.0.2.2 (the peer's interface address); allowed are\n"
		"4: range: 224.0.0.1 to 224.0.0.9 (multicast)\n"
		"5: prefix: fe80:: to fe80::ffff:ffff:ffff:ffff:ffff (link-local)\n"
		"6: network: 255.255.255.255 (limited broadcast)\n"
		"7: range: 127.0.0.1 to 127.0.0.2 (loopback)\n"
		"8: network: 0.0.0.1 to 0.0.255.254 (unspecified)\n"
		"8: network: 169.254.0.1 to 169.254.255.254 (link-local)\n"
		"9: prefix: pool \"h\" begins with ::, the unspecified\n");
	/* an overlap is another fault of the same key */
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\"; },\n"
		  "{ name = \"b\"; range = [ \"10.1.0.200\", \"10.1.0.255\" ]; },\n"
		  "{ name = \"c\"; network = \"127.0.0.0/24\"; },\n"
		  "{ name = \"d\"; network = \"127.0.0.0/25\"; }",
		  PSP,
		  "3: range: overlap\n4: network: loopback\n5: network: loopback\n5: network: "
		  "overlap\n");
}

static void faults_of_the_core_are_mapped_to_lines(void **state)
{
	(void)state;
	expect_in(POOL ",\n{ name = \"b\";\nnetwork = \"10.1.0.128/25\"; }", PSP,
		  "4: network: pool-a\n");
	expect_in(POOL ",\n{ name = \"pool-a\"; network = \"10.2.0.0/24\"; }", PSP, "3: name: \n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\";\nbusyout = true; }", PSP,
		  "3: busyout: \n");
	expect_in("{ name = \"a\"; network = \"10.1.0.0/24\"; address-hold-timer = 5;\n"
		  "address-quarantine-timer = 60; }",
		  PSP, "3: address-quarantine-timer: \n");
	expect_in(POOL, "secondary = \"192.0.3.2\"; key-file = \"%D/key\";", "6: secondary: \n");
	expect_in(POOL, "secondary = \"192.0.2.1\"; key-file = \"%D/key\";", "6: secondary: \n");
	expect_in(POOL, PSP "\ndead-interval-ms = 3000;",
		  "7: dead-interval-ms: laboratories\n7: dead-interval-ms: \n");
}

static void the_peer_and_its_role_are_checked(void **state)
{
	(void)state;
	expect_in(POOL, "key-file = \"%D/key\";", "5: primary: PEER's role\n");
	expect_in(POOL,
		  "primary = \"192.0.2.2\";\nsecondary = \"192.0.2.2\"; key-file = \"%D/key\";",
		  "7: secondary: exactly one\n");
	expect_in(POOL, "secondary = \"ha2.example\"; key-file = \"%D/key\";",
		  "6: secondary: name\n");
	expect_in(POOL, PSP "\nmode = \"on\";",
		  "7: mode: \"active\", \"inactive\", \"check-config\"\n");
	expect_in(POOL, PSP "\ndurability = \"none\";", "7: durability: \"crash\", \"power\"\n");
	expect_in(POOL, PSP "\ndead-interval = 30;\ndead-interval-ms = 5000;",
		  "8: dead-interval-ms: laboratories\n8: dead-interval-ms: only one\n");
	expect("contexts = ( { name = \"c\"; pools = (); interfaces = (\n"
	       "{ name = \"a\"; address = \"192.0.2.1/24\"; pool-share-protocol = {" PSP "} },\n"
	       "{ name = \"b\"; address = \"192.0.2.9/24\"; pool-share-protocol = {" PSP
	       "} } ); } );",
	       "3: pool-share-protocol: one IPSP interface\n");
	expect("contexts = ( { name = \"c\"; pools = (); interfaces = (\n{ name = \"a\"; } ); } );",
	       "2: address: missing\n");
}

static void keys_are_never_weak(void **state)
{
	(void)state;
	put("k", 0600, "fifteen bytes..", 15);
	expect_in(POOL, "secondary = \"192.0.2.2\";\nkey-file = \"%D/k\";",
		  "7: key-file: 16 bytes\n");
	put("k", 0600, "", 0);
	expect_in(POOL, "secondary = \"192.0.2.2\";\nkey-file = \"%D/k\";", "7: key-file: empty\n");
	put("k", 0600, "\n \n\t\n", 5);
	expect_in(POOL, "secondary = \"192.0.2.2\";\nkey-file = \"%D/k\";",
		  "7: key-file: no secret\n");
	put("k", 0604, "0123456789abcdef", 16);
	expect_in(POOL, "secondary = \"192.0.2.2\";\nkey-file = \"%D/k\";", "7: key-file: 0604\n");
	put("k", 0620, "0123456789abcdef", 16);
	expect_in(POOL, "secondary = \"192.0.2.2\";\nkey-file = \"%D/k\";", "7: key-file: 0620\n");
	put("k", 0600,
	    "0123456789abcdef\n0123456789abcdef\n0123456789abcdef\n0123456789abcdef\n0123456789abcd"
	    "ef\n",
	    85);
	expect_in(POOL, "secondary = \"192.0.2.2\";\nkey-file = \"%D/k\";",
		  "7: key-file: allowed are 4\n");
	unlink(path_of("k"));
	expect_in(POOL, "secondary = \"192.0.2.2\";\nkey-file = \"%D\";", "7: key-file: regular\n");
	assert_int_equal(mkfifo(path_of("k"), 0600), 0);
	expect_in(POOL, "secondary = \"192.0.2.2\";\nkey-file = \"%D/k\";",
		  "7: key-file: regular\n");
	unlink(path_of("k"));
	expect_in(POOL, "secondary = \"192.0.2.2\";", "5: key-file: auth = \"none\"\n");
	expect_in(POOL, PSP "\nauth = \"none\";",
		  "7: auth: without authentication\n7: auth: contradicts\n");
	expect_in(POOL, "secondary = \"192.0.2.2\";\nauth = \"key\";", "7: auth: \"none\"\n");
}

/* A file that names what is not there yet is good: it says what waits for what. */
static void what_is_not_there_is_no_fault(void **state)
{
	struct ipspd_config config;

	(void)state;
	unlink(path_of("k"));
	unlink(path_of("p"));
	unlink(path_of("h"));
	put_conf("hook = \"%D/h\"; control = { group = \"no-such-group\"; };\n"
		 "snmp = { sinks = (\n"
		 "  { host = \"192.0.2.50\"; version = \"3\"; user = \"a\"; auth-protocol = "
		 "\"SHA\";\n"
		 "    auth-passphrase-file = \"%D/p\"; },\n"
		 "  { host = \"192.0.2.51\"; version = \"2c\"; community = \"public\"; } ); };\n"
		 "contexts = ( { name = \"c\"; pools = (" POOL "); interfaces = (\n"
		 "  { name = \"l\"; address = \"192.0.2.1/24\"; pool-share-protocol = {\n"
		 "    secondary = \"192.0.2.2\"; key-file = \"%D/k\"; }; } ); } );\n");
	assert_int_equal(read_conf(&config), 0);
	assert_non_null(strstr(said, "1: hook: warning: "));
	assert_non_null(strstr(said, "1: group: warning: there is no group \"no-such-group\""));
	assert_non_null(strstr(said, "4: auth-passphrase-file: warning: "));
	assert_non_null(strstr(said, "8: key-file: warning: "));
	assert_non_null(strstr(said, "No such file"));
	assert_int_equal(config.n_sinks, 1); /* those that can be sent to come first */
	assert_int_equal(config.n_late_sinks, 1);
	assert_string_equal(config.sinks[0].host, "192.0.2.51");
	assert_string_equal(config.sinks[1].host, "192.0.2.50");
	assert_int_equal(config.n_lacks, 3);
	for (size_t i = 0; i < config.n_lacks; i++) {
		const struct ipspd_lack *lack = &config.lacks[i];
		if (lack->kind == IPSPD_LACK_PASSPHRASE)
			assert_int_equal(lack->sink, 1);
		assert_string_equal(lack->context, lack->kind == IPSPD_LACK_KEY ? "c" : "");
	}
	assert_int_equal(config.contexts[0].psp.n_keys, 0);
	ipspd_config_fini(&config);
}

/* A secret that an editor has changed is taken, as ever, and named. */
static void secrets_that_are_no_plain_text_are_named(void **state)
{
	static const char secret[] = "0123456789abcdef0123456789abcdef\n";
	static const char *const words[] = {"byte order mark", "NUL byte", "UTF-16", "UTF-16"};
	char out[4][2 * sizeof(secret) + 2];
	size_t n[4];
	struct ipspd_config config;

	(void)state;
	n[0] = (size_t)snprintf(out[0], sizeof(out[0]), "\xef\xbb\xbf%s", secret);
	n[1] = sizeof(secret);
	memcpy(out[1], secret, n[1]);
	n[2] = widened(secret, 2, true, out[2]);
	memcpy(out[3], "\xff\xfe", 2);
	n[3] = 2 + widened(secret, 2, true, out[3] + 2);
	put_conf(
		"contexts = ( { name = \"c\"; pools = (); interfaces = ( { name = \"a\"; address = "
		"\"192.0.2.1/24\";\npool-share-protocol = { secondary = \"192.0.2.2\";\n"
		"key-file = \"%D/odd\"; } } ); } );");
	for (size_t i = 0; i < 4; i++) {
		put("odd", 0600, out[i], n[i]);
		assert_int_equal(read_conf(&config), 0);
		assert_int_equal(strncmp(said, "3: key-file: warning: ", 22), 0);
		assert_non_null(strstr(said, words[i]));
		assert_int_equal(config.contexts[0].psp.n_keys, 1);
		ipspd_config_fini(&config);
	}
	for (unsigned i = 0; i < 32; i++) /* a random one is none of these, whatever is in it */
		out[0][i] = (char)(0x80 + 7 * i);
	out[0][0] = '\0';
	put("odd", 0600, out[0], 32);
	assert_int_equal(read_conf(&config), 0);
	assert_string_equal(said, "");
	ipspd_config_fini(&config);
}

/* What can't be shown makes every show of its context fail. */
static void texts_can_be_shown(void **state)
{
	static const char *const bad[] = {"l\\xffn", "l\xffn",	   "l\\nn",
					  "l\x7fn",  "l\xc2\x85n", "l\xc3"};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text),
			 "contexts = ( { name = \"c\"; pools = ();\ninterfaces = ( { name = "
			 "\"%s\"; address = \"192.0.2.1/24\"; } ); } );",
			 bad[i]);
		expect(text, "2: name: UTF-8\n");
		snprintf(text, sizeof(text),
			 "contexts = ( { name = \"c\"; pools = (\n{ name = \"p\"; group = \"%s\"; "
			 "network = \"10.1.0.0/24\"; } ); } );",
			 bad[i]);
		expect(text, "2: group: UTF-8\n");
	}
	expect_in(POOL, "secondary = \"192.0.2.2\";\nkey-file = \"/\xff\";",
		  "7: key-file: UTF-8\n");
}

/* Whoever owns such a file can change it, whatever its mode. */
static void files_of_other_users_are_not_trusted(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* nobody else can give a file away */
	put("k", 0600, "0123456789abcdef", 16);
	assert_int_equal(chown(path_of("k"), 12345, (gid_t)-1), 0);
	expect_in(POOL, "secondary = \"192.0.2.2\";\nkey-file = \"%D/k\";",
		  "7: key-file: owner is uid 12345\n");
	unlink(path_of("k"));

	put("h", 0755, "#!/bin/sh\n", 10);
	assert_int_equal(chown(path_of("h"), 12345, (gid_t)-1), 0);
	expect("hook = \"%D/h\";\ncontexts = ( { name = \"c\"; pools = (); } );",
	       "1: hook: owner is uid 12345\n");
	unlink(path_of("h"));
}

static void a_hook_that_others_can_change_is_refused(void **state)
{
	static const char conf[] =
		"hook = \"%D/h\";\ncontexts = ( { name = \"c\"; pools = (); } );";
	struct ipspd_config config;

	(void)state;
	put("h", 0775, "#!/bin/sh\n", 10);
	expect(conf, "1: hook: 0775\n");
	put("h", 0757, "#!/bin/sh\n", 10);
	expect(conf, "1: hook: 0757\n");
	put("h", 0755, "#!/bin/sh\n", 10);
	put_conf(conf);
	assert_int_equal(read_conf(&config), 0);
	ipspd_config_fini(&config);
	unlink(path_of("h"));
}

static void sinks_are_checked(void **state)
{
	(void)state;
	expect("contexts = ( { name = \"c\"; pools = (); } ); snmp = { trap-style = \"v1\"; sinks "
	       "= (\n"
	       "{ host = \"udp:h\"; version = \"2c\"; community = \"c\"; },\n"
	       "{ version = \"2c\"; community = \"c\"; },\n"
	       "{ host = \"h\"; version = \"2c\"; },\n"
	       "{ host = \"h\"; version = \"1\"; community = \"c\"; },\n"
	       "{ host = \"h\"; version = \"2c\"; community = \"c\"; user = \"u\"; },\n"
	       "{ host = \"h\"; version = \"3\"; },\n"
	       "{ host = \"h\"; version = \"3\"; user = \"a\"; auth-protocol = \"SHA-1\"; "
	       "auth-passphrase-file = \"%D/pass\"; },\n"
	       "{ host = \"h\"; version = \"3\"; user = \"b\"; auth-protocol = \"SHA\"; },\n"
	       "{ host = \"h\"; version = \"3\"; user = \"c\"; priv-protocol = \"AES\"; "
	       "priv-passphrase-file = \"%D/pass\"; },\n"
	       "{ host = \"h\"; version = \"3\"; user = \"u\"; auth-protocol = \"SHA\"; "
	       "auth-passphrase-file = \"%D/short\"; },\n"
	       "{ host = \"h\"; port = 0; version = \"2c\"; community = \"c\"; },\n"
	       "{ host = \"h\"; version = \"3\"; user = \"x\"; auth-protocol = \"SHA\"; "
	       "auth-passphrase-file = \"%D/pass\"; },\n"
	       "{ host = \"h\"; version = \"3\"; user = \"x\"; auth-protocol = \"MD5\"; "
	       "auth-passphrase-file = \"%D/pass\"; }\n"
	       "); };",
	       "1: trap-style: \"rfc\", \"starent\"\n"
	       "2: host: name\n"
	       "3: host: missing\n"
	       "4: community: missing\n"
	       "5: version: \"2c\", \"3\"\n"
	       "6: user: version \"3\"\n"
	       "7: user: missing\n"
	       "8: auth-protocol: \"SHA-256\"\n"
	       "9: auth-protocol: auth-passphrase-file\n"
	       "10: user: without auth-protocol\n"
	       "10: priv-protocol: auth-protocol\n"
	       "11: auth-passphrase-file: allowed are 8 to 255\n"
	       "12: port: 1 to 65535\n"
	       "14: user: must be the same\n");
	expect("contexts = ( { name = \"c\"; pools = (); } );\nsnmp = { source = \"eth0\"; };",
	       "2: source: IPv4 or IPv6 address\n");
	expect("contexts = ( { name = \"c\"; pools = (); } );\nsnmp = { source = \"192.0.2.1\"; "
	       "sinks = (\n{ host = \"2001:db8::1\"; version = \"2c\"; community = \"c\"; } ); };",
	       "2: source: allowed is an IPv6 address\n");
}

static void contexts_are_told_apart(void **state)
{
	(void)state;
	expect("contexts = ( { name = \"c\"; pools = (); },\n{ pools = ();\nname = \"c\"; } );",
	       "3: name: two contexts\n");
	expect("contexts = (\n{ name = \"context-one\"; pools = ( { name = \"p\"; network = "
	       "\"10.1.0.0/24\"; } ); },\n"
	       "{ name = \"context-two\"; pools = ( { name = \"p\"; network = \"10.1.0.0/24\"; },\n"
	       "{ name = \"q\"; network = \"10.2.0.0/24\"; } ); } );",
	       "3: name: \"context-:p\"\n");
	expect("contexts = (\n{ name = \"c\"; pools = ( { name = \"sixteen-letters-1\"; network = "
	       "\"10.1.0.0/24\"; },\n"
	       "{ name = \"sixteen-letters-2\"; network = \"10.2.0.0/24\"; } ); } );",
	       "3: name: first 16 characters\n");
	expect("contexts = (\n"
	       "{ name = \"c\"; pools = (); interfaces = ( { name = \"a\"; address = "
	       "\"192.0.2.1/24\"; pool-share-protocol = {" PSP "} } ); },\n"
	       "{ name = \"d\"; pools = (); interfaces = ( { name = \"a\"; address = "
	       "\"192.0.2.1/24\"; pool-share-protocol = {" PSP "\n"
	       "port = 4188; } } ); },\n"
	       "{ name = \"e\"; pools = (); interfaces = ( { name = \"a\"; address = "
	       "\"192.0.2.1/24\"; pool-share-protocol = {" PSP "\n"
	       "port = 4187; } } ); } );",
	       "6: port: \"c\"\n");
}

/* Three contexts that have one address and port, each on a device of its own, or not. */
static void expect_devices(const char *one, const char *two, const char *three, const char *want)
{
	static const char text[] =
		"contexts = (\n"
		"{ name = \"c\"; pools = (); interfaces = ( { name = \"a\"; address = "
		"\"192.0.2.1/24\"; %s pool-share-protocol = {" PSP "} } ); },\n"
		"{ name = \"d\"; pools = (); interfaces = ( { name = \"a\"; address = "
		"\"192.0.2.1/24\"; %s pool-share-protocol = {" PSP "} } ); },\n"
		"{ name = \"e\"; pools = (); interfaces = ( { name = \"a\"; address = "
		"\"192.0.2.1/24\"; %s pool-share-protocol = {" PSP "} } ); } );";
	char out[2048], *p = out;
	const char *const devices[] = {one, two, three};
	unsigned n = 0;

	for (const char *t = text; *t; t++) /* (%D is not for printf) */
		if (t[0] == '%' && t[1] == 's' && t++)
			p += snprintf(p, (size_t)(out + sizeof(out) - p), "%s", devices[n++]);
		else
			*p++ = *t;
	*p = '\0';
	if (want) {
		expect(out, want);
	} else {
		struct ipspd_config config;
		put_conf(out);
		assert_int_equal(read_conf(&config), 0);
		assert_string_equal(config.contexts[0].psp.device, "eth0");
		ipspd_config_fini(&config);
	}
}

static void contexts_may_differ_by_device(void **state)
{
	(void)state;
	expect_devices("device = \"eth0\";", "device = \"eth1\";", "device = \"vrf-red\";", NULL);
	expect_devices("device = \"eth0\";", "device = \"eth1\";", "device = \"eth0\";",
		       "4: port: context \"c\" has address 192.0.2.1 and port 4187 on \"eth0\"\n");
	expect_devices("device = \"eth0\";", "device = \"eth1\";", "",
		       "4: port: without a device\n4: port: without a device\n");
	expect_devices("", "device = \"eth1\";", "device = \"eth0\";",
		       "3: port: without a device\n4: port: without a device\n");
	expect_devices("device = \"a/b\";", "device = \"interface-name-2\";", "device = \"a b\";",
		       "2: device: \"a/b\" is no name\n3: device: 1 to 15\n4: device: 1 to 15\n");
}

/* What is made with a secret is bound to addresses and port: where these are one, too, it is said.
 */
static void one_secret_in_two_contexts(void **state)
{
	static const char text[] =
		"contexts = (\n"
		"{ name = \"c\"; pools = (); interfaces = ( { name = \"a\"; address = "
		"\"192.0.2.1/24\"; %s pool-share-protocol = {" PSP "} } ); },\n"
		"{ name = \"d\"; pools = (); interfaces = ( { name = \"a\"; address = "
		"\"192.0.2.1/24\"; %s pool-share-protocol = { %s " PSP "} } ); },\n"
		"{ name = \"e\"; pools = (); interfaces = ( { name = \"a\"; address = "
		"\"192.0.2.1/24\"; pool-share-protocol = { port = 4189; auth = \"none\"; secondary "
		"= "
		"\"192.0.2.2\"; } } ); } );";
	static const char *const rest[2][3] = {{"device = \"eth0\";", "device = \"eth1\";", ""},
					       {"", "", "port = 4188;"}};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		char out[2048], *p = out;
		struct ipspd_config config;
		unsigned n = 0;

		for (const char *t = text; *t; t++) /* (%D is not for printf) */
			if (t[0] == '%' && t[1] == 's' && t++)
				p += snprintf(p, (size_t)(out + sizeof(out) - p), "%s",
					      rest[i][n++]);
			else
				*p++ = *t;
		*p = '\0';
		put_conf(out);
		hear_devices = true;
		assert_int_equal(read_conf(&config), 0);
		hear_devices = false;
		assert_int_equal(strstr(said, "3: key-file: warning: context \"c\" has the same "
					      "secret, addresses and port") != NULL,
				 i == 0);
		assert_true(config.contexts[0].psp.secret_is_shared);
		assert_true(config.contexts[1].psp.secret_is_shared);
		assert_false(config.contexts[2].psp.secret_is_shared);
		ipspd_config_fini(&config);
	}
}

static void link_local_addresses_need_their_interface(void **state)
{
	(void)state;
	expect_zone("fe80::1%eth0/64", "", "fe80::2%eth0", "");
	expect_zone("fe80::1%eth0/64", "device = \"eth0\";", "fe80::2%eth0", "");
	expect_zone("fe80::1/64", "", "fe80::2",
		    "2: address: \"fe80::1%eth0/64\"\n" NO_AUTH "4: secondary: \"fe80::2%eth0\"\n");
	expect_zone("fe80::1/64", "device = \"eth0\";", "fe80::2%eth0",
		    "2: address: link-local\n" NO_AUTH);
	expect_zone("fe80::1%eth0/64", "", "fe80::2", NO_AUTH "4: secondary: link-local\n");
	expect_zone("fe80::1%eth0/64", "", "fe80::2%eth1", NO_AUTH "4: secondary: \"eth1\"\n");
	expect_zone("fe80::1%eth0/64", "device = \"vrf1\";", "fe80::2%eth0",
		    "2: device: another interface\n" NO_AUTH);
	expect_zone("fe80::1%/64", "", "fe80::2%eth0", "2: address: behind the %\n" NO_AUTH);
	expect_zone("fe80::1%interface-name-2/64", "", "fe80::2%eth0",
		    "2: address: 1 to 15\n" NO_AUTH);
	expect_zone("febf:ffff::1/64", "", "febf:ffff::2%eth0", "2: address: link-local\n" NO_AUTH);
	expect_zone("192.0.2.1%eth0/24", "", "192.0.2.2%eth0",
		    "2: address: device = \"eth0\"\n" NO_AUTH "4: secondary: device = \"eth0\"\n");
	expect_zone("2001:db8::1%eth0/64", "", "2001:db8::2",
		    "2: address: device = \"eth0\"\n" NO_AUTH);
	expect_zone("fe80::1%eth0", "", "fe80::2%eth0", "2: address: ADDRESS/LENGTH\n" NO_AUTH);
}

/* ---------------------------------------------------------------- save configuration */

static const char before_save[] =
	"# the pair in rack 4\n"
	"http = { listen = \"127.0.0.1:9618\"; };  snmp = { agentx = true; };  # the monitor's\n"
	"contexts = (\n"
	"  { name = \"isp1\"; pools = ( { name = \"p\"; network = \"10.1.0.0/24\"; } );\n"
	"    interfaces = (\n"
	"      { name = \"lan\"; address = \"192.0.2.1/24\"; device = \"eth1\";\n"
	"        # the other side\n"
	"        pool-share-protocol = {\n"
	"          secondary = \"192.0.2.2\";   /* } */ # \"mode\n"
	"          key-file = \"%D/key\";\n"
	"        };   # of rack 5\n"
	"      } ); },\n"
	"  { name = \"isp\" \"2\"; pools = ( { name = \"p2\"; network = \"10.1.0.0/24\"; } ); "
	"interfaces = (\n"
	"      { name = \"lan\"; address = \"192.0.3.1/24\"; pool-share-protocol = { primary = "
	"\"192.0.3.2\", key-file = \"%D/key\"; mode = \"in\" \"active\" /* for now */; } } ); }\n"
	");\n";

static void read_good(struct ipspd_config *config)
{
	put_conf(before_save);
	assert_int_equal(read_conf(config), 0);
}

/* @text with the first @from made into @to. */
static void replaced(char *out, size_t cap, const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);

	assert_non_null(at);
	snprintf(out, cap, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void save_changes_the_mode_and_nothing_else(void **state)
{
	struct ipspd_config config;
	char why[256], half[4096], want[4096], *old, *new;
	struct stat st;

	(void)state;
	read_good(&config);
	old = slurp("conf");
	config.contexts[0].psp.mode = IPSP_MODE_CHECK;
	config.contexts[1].psp.mode = IPSP_MODE_ACTIVE;
	assert_int_equal(ipspd_config_write(path_of("conf"), &config, why, sizeof(why)), 0);
	ipspd_config_fini(&config);

	new = slurp("conf~");
	assert_string_equal(new, old);
	free(new);
	new = slurp("conf");
	replaced(half, sizeof(half), old, "\n          key-file",
		 "\n          mode = \"check-config\";\n          key-file");
	replaced(want, sizeof(want), half, "\"in\" \"active\"", "\"active\"");
	assert_string_equal(new, want);
	assert_int_equal(stat(path_of("conf"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	free(old);
	free(new);

	assert_int_equal(read_conf(&config), 0);
	assert_int_equal(config.contexts[0].psp.mode, IPSP_MODE_CHECK);
	assert_int_equal(config.contexts[1].psp.mode, IPSP_MODE_ACTIVE);
	ipspd_config_fini(&config);
}

static void save_takes_pool_share_protocol_out(void **state)
{
	struct ipspd_config config;
	char why[256], *new;

	(void)state;
	read_good(&config);
	config.contexts[0].psp.enabled = false;
	config.contexts[1].psp.enabled = false;
	assert_int_equal(ipspd_config_write(path_of("conf"), &config, why, sizeof(why)), 0);
	ipspd_config_fini(&config);
	new = slurp("conf");
	assert_non_null(strstr(new, "        # the other side\n      } ); },\n"));
	assert_non_null(strstr(new, "address = \"192.0.3.1/24\"; } ); }\n);\n"));
	free(new);
	assert_int_equal(read_conf(&config), 0);
	assert_false(config.contexts[0].psp.enabled);
	assert_false(config.contexts[1].psp.enabled);
	ipspd_config_fini(&config);
}

static void save_without_a_change_writes_nothing(void **state)
{
	struct ipspd_config config;
	char why[256];

	(void)state;
	unlink(path_of("conf~"));
	read_good(&config);
	assert_int_equal(ipspd_config_write(path_of("conf"), &config, why, sizeof(why)), 0);
	assert_int_equal(access(path_of("conf~"), F_OK), -1);
	ipspd_config_fini(&config);
}

static void save_refuses_a_file_that_it_does_not_know(void **state)
{
	struct ipspd_config config;
	char why[256];

	(void)state;
	read_good(&config);
	config.contexts[0].psp.mode = IPSP_MODE_INACTIVE;
	put_conf("contexts = ( { name = \"isp1\"; pools = ( {; } ) } );");
	assert_int_equal(ipspd_config_write(path_of("conf"), &config, why, sizeof(why)),
			 IPSP_ERR_INVALID);
	put_conf("contexts = ( { name = \"isp9\"; pools = ( ); } );");
	assert_int_equal(ipspd_config_write(path_of("conf"), &config, why, sizeof(why)),
			 IPSP_ERR_INVALID);
	assert_non_null(strstr(why, "\"isp1\""));
	unlink(path_of("conf"));
	assert_int_equal(ipspd_config_write(path_of("conf"), &config, why, sizeof(why)),
			 IPSP_ERR_IO);
	assert_non_null(strstr(why, "No such file"));

	/* an operator's own mistake elsewhere in the file: told, and nothing is written */
	put_conf(before_save);
	{
		char *text = slurp("conf"), *bad = strstr(text, "10.1.0.0");

		bad[0] = 'x';
		put("conf", 0600, text, strlen(text));
		assert_int_equal(ipspd_config_write(path_of("conf"), &config, why, sizeof(why)),
				 IPSP_ERR_INVALID);
		assert_non_null(strstr(why, ":4: network: "));
		bad = slurp("conf");
		assert_string_equal(bad, text);
		free(bad);
		free(text);
	}
	assert_int_equal(access(path_of("conf.new"), F_OK), -1);
	assert_int_equal(access(path_of("conf.old"), F_OK), -1);
	ipspd_config_fini(&config);
}

static void save_follows_a_symbolic_link(void **state)
{
	struct ipspd_config config;
	char why[256];
	struct stat st;

	(void)state;
	read_good(&config);
	assert_int_equal(rename(path_of("conf"), path_of("real")), 0);
	assert_int_equal(symlink("real", path_of("conf")), 0);
	config.contexts[0].psp.mode = IPSP_MODE_INACTIVE;
	assert_int_equal(ipspd_config_write(path_of("conf"), &config, why, sizeof(why)), 0);
	ipspd_config_fini(&config);
	assert_int_equal(lstat(path_of("conf"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(access(path_of("real~"), F_OK), 0);
	assert_int_equal(read_conf(&config), 0);
	assert_int_equal(config.contexts[0].psp.mode, IPSP_MODE_INACTIVE);
	ipspd_config_fini(&config);
	unlink(path_of("conf"));
	unlink(path_of("real"));
	unlink(path_of("real~"));
}

static int set_up(void **state)
{
	(void)state;
	if (sodium_init() < 0 || !mkdtemp(dir))
		return -1;
	put("key", 0600, SECRET "\n", 65);
	put("pass", 0600, "a passphrase\n", 13);
	put("short", 0600, "seven..\n", 8);
	put("hook", 0700, "#!/bin/sh\n", 10);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"key", "pass", "short", "odd", "hook", "conf", "conf~"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_of_the_manual_is_read),
		cmocka_unit_test(what_is_left_out_has_its_default),
		cmocka_unit_test(a_context_may_be_without_ipsp),
		cmocka_unit_test(each_line_of_a_key_file_is_a_key),
		cmocka_unit_test(all_faults_are_told_at_once_and_in_order),
		cmocka_unit_test(a_file_that_is_none_is_refused),
		cmocka_unit_test(files_that_are_no_plain_text_are_named),
		cmocka_unit_test(numbers_in_quotes_are_named),
		cmocka_unit_test(keys_of_the_monitor_are_taken_and_checked),
		cmocka_unit_test(groups_of_the_socket_are_told_apart),
		cmocka_unit_test(numbers_that_do_not_fit_are_refused),
		cmocka_unit_test(pools_are_checked),
		cmocka_unit_test(lengths_of_nothing_have_their_sentence),
		cmocka_unit_test(addresses_of_nobody_are_refused),
		cmocka_unit_test(faults_of_the_core_are_mapped_to_lines),
		cmocka_unit_test(the_peer_and_its_role_are_checked),
		cmocka_unit_test(keys_are_never_weak),
		cmocka_unit_test(secrets_that_are_no_plain_text_are_named),
		cmocka_unit_test(what_is_not_there_is_no_fault),
		cmocka_unit_test(texts_can_be_shown),
		cmocka_unit_test(files_of_other_users_are_not_trusted),
		cmocka_unit_test(a_hook_that_others_can_change_is_refused),
		cmocka_unit_test(sinks_are_checked),
		cmocka_unit_test(contexts_are_told_apart),
		cmocka_unit_test(contexts_may_differ_by_device),
		cmocka_unit_test(one_secret_in_two_contexts),
		cmocka_unit_test(link_local_addresses_need_their_interface),
		cmocka_unit_test(save_changes_the_mode_and_nothing_else),
		cmocka_unit_test(save_takes_pool_share_protocol_out),
		cmocka_unit_test(save_without_a_change_writes_nothing),
		cmocka_unit_test(save_refuses_a_file_that_it_does_not_know),
		cmocka_unit_test(save_follows_a_symbolic_link),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
