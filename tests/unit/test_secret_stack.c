/*
 * What is left of secrets on the stack, below the frames that are in use, when a function that had
 * them has returned: libraries leave their own copies there.
 */
#include "base/err.h"
#include "core/chain.h"
#include "core/seal.h"
#include "daemon/keyfile.h"
#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DEPTH ((size_t)48 << 10)

static uint8_t seen[DEPTH];

/* Reads what no frame owns, which a sanitizer would forbid. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static void
look_below(volatile uint8_t *to)
{
	const volatile uint8_t *from = (const volatile uint8_t *)__builtin_frame_address(0) - DEPTH;

	for (size_t i = 0; i < DEPTH; i++)
		to[i] = from[i];
}

/* How often the last look saw these bytes. */
static size_t left_of(const uint8_t *secret, size_t n)
{
	size_t found = 0;

	for (size_t i = 0; i + n <= DEPTH; i++)
		found += memcmp(seen + i, secret, n) == 0;
	return found;
}

/* Older calls' leftovers are not to be found again. */
static void begin(void)
{
	sodium_stackzero(DEPTH + 4096);
}

static const char secret[] = "8f1c5be0a97d3426e1f0c4b2d8a6937555aa0bc1de42f7830916e5d4c3b2a187";

static void of_a_key_file(void **state)
{
	static uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES], n_keys;
	static char why[IPSPD_WHY_MAX];
	char path[] = "/tmp/stack-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, secret, strlen(secret)), strlen(secret));
	close(fd);
	begin();
	int err = ipspd_keyfile_keys(path, keys, &n_keys, why);
	look_below(seen);
	unlink(path);
	assert_int_equal(err, 0);
	assert_int_equal(n_keys, 1);
	assert_int_equal(left_of(keys[0], IPSP_KEY_BYTES), 0);
	assert_int_equal(left_of((const uint8_t *)secret, strlen(secret)), 0);
}

static void of_a_passphrase(void **state)
{
	static char why[IPSPD_WHY_MAX], text[256];
	char path[] = "/tmp/stack-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, secret, strlen(secret)), strlen(secret));
	close(fd);
	begin();
	int err = ipspd_keyfile_line(path, 8, text, sizeof(text), why);
	look_below(seen);
	unlink(path);
	assert_int_equal(err, 0);
	assert_string_equal(text, secret);
	assert_int_equal(left_of((const uint8_t *)secret, strlen(secret)), 0);
}

static void of_random_bytes(void **state)
{
	static struct ipsp_rng rng;
	static uint8_t bytes[32];

	(void)state;
	ipsp_rng_init(&rng, (const uint8_t *)secret);
	begin();
	ipsp_rng_bytes(&rng, bytes, sizeof(bytes));
	look_below(seen);
	assert_int_equal(left_of(rng.seed, sizeof(rng.seed)), 0);
	assert_int_equal(left_of(bytes, sizeof(bytes)), 0);
}

static void assert_no_keys_left(const struct ipsp_seal *seal)
{
	for (size_t i = 0; i < IPSP_KEYS_MAX; i++) {
		if (sodium_is_zero((const uint8_t *)&seal->keys[i], sizeof(seal->keys[i])))
			continue;
		assert_int_equal(left_of(seal->keys[i].old.mac, 32), 0);
		assert_int_equal(left_of(seal->keys[i].old.derive, 32), 0);
		assert_int_equal(left_of(seal->keys[i].bound.mac, 32), 0);
		assert_int_equal(left_of(seal->keys[i].bound.derive, 32), 0);
	}
	assert_int_equal(left_of(seal->rng.seed, sizeof(seal->rng.seed)), 0);
	assert_int_equal(left_of(seal->eph_secret, sizeof(seal->eph_secret)), 0);
}

static void start_side(struct ipsp_seal *seal, uint8_t number)
{
	static struct ipsp_psp_conf conf;
	static uint8_t seed[32];

	memset(seed, number, sizeof(seed));
	memset(conf.keys[0], 'k', IPSP_KEY_BYTES);
	conf.n_keys = 1;
	conf.address = conf.peer = ipsp_addr_v4(0xc0000207);
	conf.port = 4187;
	begin();
	ipsp_seal_init(seal, &conf, seed);
	look_below(seen);
	assert_no_keys_left(seal);
}

/* The side that is begun with has a candidate, whose keys are those of the session. */
static void of_a_handshake(void **state)
{
	static struct ipsp_seal a, b;
	static uint8_t hello[IPSP_DGRAM_MAX], reply[IPSP_DGRAM_MAX], third[IPSP_DGRAM_MAX],
		plain[IPSP_DGRAM_MAX];
	size_t n, n_reply = 0, n_third = 0, n_plain = 0;

	(void)state;
	start_side(&a, 1);
	start_side(&b, 2);
	n = ipsp_seal_shake(&a, hello);
	assert_int_equal(ipsp_seal_open(&b, hello, n, plain, &n_plain, reply, &n_reply),
			 IPSP_OPENED_SHAKE);
	assert_true(n_reply > 0);
	begin();
	int opened = ipsp_seal_open(&a, reply, n_reply, plain, &n_plain, third, &n_third);
	look_below(seen);
	assert_int_equal(opened, IPSP_OPENED_CANDIDATE);
	assert_true(a.candidate.valid);
	assert_int_equal(left_of(a.candidate.tx_key, 32), 0);
	assert_int_equal(left_of(a.candidate.rx_key, 32), 0);
	assert_no_keys_left(&a);
}

static void of_a_renewal(void **state)
{
	static struct ipsp_seal a;
	static uint8_t his_secret[32];
	static struct ipsp_renew his;

	(void)state;
	start_side(&a, 3);
	memset(his_secret, 'h', sizeof(his_secret));
	crypto_scalarmult_base(his.public, his_secret);
	a.present.valid = true;
	a.present.version = IPSP_SEAL_VERSION;
	memset(a.present.chain, 'c', sizeof(a.present.chain));
	begin();
	ipsp_chain_begin(&a);
	look_below(seen);
	assert_int_equal(left_of(a.chain.secret, 32), 0);
	begin();
	int err = ipsp_chain_on(&a, &his);
	look_below(seen);
	assert_int_equal(err, 0);
	assert_true(a.chain.next.valid);
	assert_int_equal(left_of(a.chain.next.tx_key, 32), 0);
	assert_int_equal(left_of(a.chain.next.rx_key, 32), 0);
	assert_int_equal(left_of(a.chain.next.chain, 32), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_a_key_file),   cmocka_unit_test(of_a_passphrase),
		cmocka_unit_test(of_random_bytes), cmocka_unit_test(of_a_handshake),
		cmocka_unit_test(of_a_renewal),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
