/*
 * keyfile - which secrets are said to be weak, and that each makes the key that it always made.
 */
#include "daemon/keyfile.h"
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define HEX "8f1c5be0a97d3426e1f0c4b2d8a6937555aa0bc1de42f7830916e5d4c3b2a187"

static char dir[] = "/tmp/keyfile-XXXXXX", path[64];

static void put(const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

/* Takes the file; says whether it was called weak. */
static bool is_weak(const void *bytes, size_t n)
{
	uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES], n_keys;
	char why[IPSPD_WHY_MAX];

	put(bytes, n);
	assert_int_equal(ipspd_keyfile_keys(path, keys, &n_keys, why), 0);
	assert_true(n_keys >= 1);
	if (!why[0])
		return false;
	assert_non_null(strstr(why, "is weak"));
	assert_non_null(strstr(why, "ipspctl make-key"));
	return true;
}

static bool text_is_weak(const char *text)
{
	return is_weak(text, strlen(text));
}

static void what_can_be_guessed_is_weak(void **state)
{
	static const char *const weak[] = {
		"0123456789abcdef",
		"correct horse battery staple",
		"a passphrase of many words, and every one of them stands in a book",
		"correcthorsebatterystaplecorrecthorsebatterystaple",
		"8f1c5be0a97d3426e1f0c4b2d8a69375", /* 128 bits */
		"kA1+/vQ2mZ9xW3cR7tY5bN",
		HEX "\nan old password of ours\n", /* NOLINT(bugprone-suspicious-missing-comma) */
	};
	uint8_t raw[IPSP_KEY_BYTES - 1];

	(void)state;
	for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++)
		assert_true(text_is_weak(weak[i]));
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(0x80 + 7 * i);
	assert_true(is_weak(raw, sizeof(raw)));
}

static void what_is_random_is_not(void **state)
{
	static const char upper[] =
		"8F1C5BE0A97D3426E1F0C4B2D8A6937555AA0BC1DE42F7830916E5D4C3B2A187";
	char text[3][sodium_base64_ENCODED_LEN(IPSP_KEY_BYTES, sodium_base64_VARIANT_ORIGINAL)];
	uint8_t raw[IPSP_KEY_BYTES];

	(void)state;
	assert_false(text_is_weak(HEX));
	assert_false(text_is_weak(upper));
	assert_false(text_is_weak("\n  " HEX "\r\n\n" HEX HEX "\n"));
	for (int i = 0; i < 1000; i++) { /* as the manual said once: head -c 32 | base64 */
		randombytes_buf(raw, sizeof(raw));
		raw[0] = 0xff; /* no text */
		sodium_bin2base64(text[0], sizeof(text[0]), raw, sizeof(raw),
				  sodium_base64_VARIANT_ORIGINAL);
		sodium_bin2base64(text[1], sizeof(text[1]), raw, sizeof(raw),
				  sodium_base64_VARIANT_URLSAFE);
		sodium_bin2base64(text[2], sizeof(text[2]), raw, sizeof(raw),
				  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
		for (size_t k = 0; k < 3; k++)
			assert_false(text_is_weak(text[k]));
		if (i < 10)
			assert_false(is_weak(raw, sizeof(raw)));
	}
}

/* The other side may be of any version: what a file makes may never change. */
static void a_weak_one_makes_the_key_that_it_always_made(void **state)
{
	static const char text[] = "  correct horse battery staple \n";
	uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES], n_keys, key[IPSP_KEY_BYTES];
	char why[IPSPD_WHY_MAX];

	(void)state;
	put(text, strlen(text));
	assert_int_equal(ipspd_keyfile_keys(path, keys, &n_keys, why), 0);
	assert_int_equal(n_keys, 1);
	crypto_generichash(key, sizeof(key), (const uint8_t *)"correct horse battery staple", 28,
			   NULL, 0);
	assert_memory_equal(keys[0], key, sizeof(key));
}

static int set_up(void **state)
{
	(void)state;
	if (sodium_init() < 0 || !mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/key", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

/* Whoever compares or copies the array as a whole reads also what no secret is behind. */
static void places_without_a_secret_are_zero(void **state)
{
	uint8_t keys[IPSP_KEYS_MAX][IPSP_KEY_BYTES], n_keys;
	char why[IPSPD_WHY_MAX];

	(void)state;
	memset(keys, 0xff, sizeof(keys));
	put(HEX, strlen(HEX));
	assert_int_equal(ipspd_keyfile_keys(path, keys, &n_keys, why), 0);
	assert_int_equal(n_keys, 1);
	for (size_t i = n_keys; i < IPSP_KEYS_MAX; i++)
		assert_true(sodium_is_zero(keys[i], IPSP_KEY_BYTES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_can_be_guessed_is_weak),
		cmocka_unit_test(what_is_random_is_not),
		cmocka_unit_test(a_weak_one_makes_the_key_that_it_always_made),
		cmocka_unit_test(places_without_a_secret_are_zero),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
