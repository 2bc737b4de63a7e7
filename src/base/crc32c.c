#include "base/bytes.h"

/*
 * CRC32C eight bytes at a time ("slicing by 8"). A CRC is linear over XOR, so the eight tables of
 * 256 follow from eight times eight numbers, those of the single bits, and the compiler builds
 * them. BIT<k>: the CRC of the bytes 01, 02, 04 .. 80, each followed by k zero bytes.
 */
#define XOR8(i, a, b, c, d, e, f, g, h)                                                            \
	((((i)&1) ? (a) : 0) ^ (((i)&2) ? (b) : 0) ^ (((i)&4) ? (c) : 0) ^ (((i)&8) ? (d) : 0) ^   \
	 (((i)&16) ? (e) : 0) ^ (((i)&32) ? (f) : 0) ^ (((i)&64) ? (g) : 0) ^                      \
	 (((i)&128) ? (h) : 0))

/* clang-format off */
#define BIT0(i) XOR8(i, 0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u)
#define BIT1(i) XOR8(i, 0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u)
#define BIT2(i) XOR8(i, 0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u)
#define BIT3(i) XOR8(i, 0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu)
#define BIT4(i) XOR8(i, 0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu)
#define BIT5(i) XOR8(i, 0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u)
#define BIT6(i) XOR8(i, 0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u)
#define BIT7(i) XOR8(i, 0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u)
/* clang-format on */

#define ROW4(f, i)  f(i), f((i) + 1), f((i) + 2), f((i) + 3)
#define ROW16(f, i) ROW4(f, i), ROW4(f, (i) + 4), ROW4(f, (i) + 8), ROW4(f, (i) + 12)
#define ROW64(f, i) ROW16(f, i), ROW16(f, (i) + 16), ROW16(f, (i) + 32), ROW16(f, (i) + 48)
#define ROW256(f)   ROW64(f, 0), ROW64(f, 64), ROW64(f, 128), ROW64(f, 192)

static const uint32_t crc_table[8][256] = {
	{ROW256(BIT0)}, {ROW256(BIT1)}, {ROW256(BIT2)}, {ROW256(BIT3)},
	{ROW256(BIT4)}, {ROW256(BIT5)}, {ROW256(BIT6)}, {ROW256(BIT7)},
};

static uint32_t by_tables(uint32_t crc, const uint8_t *b, size_t n)
{
	for (; n >= 8; n -= 8, b += 8) {
		uint32_t lo = crc ^ ipsp_load_le32(b), hi = ipsp_load_le32(b + 4);

		crc = crc_table[7][lo & 0xff] ^ crc_table[6][lo >> 8 & 0xff] ^
		      crc_table[5][lo >> 16 & 0xff] ^ crc_table[4][lo >> 24] ^
		      crc_table[3][hi & 0xff] ^ crc_table[2][hi >> 8 & 0xff] ^
		      crc_table[1][hi >> 16 & 0xff] ^ crc_table[0][hi >> 24];
	}
	for (; n > 0; n--, b++)
		crc = crc >> 8 ^ crc_table[0][(crc ^ *b) & 0xff];
	return crc;
}

uint32_t ipsp_crc32c_plain(uint32_t crc, const void *p, size_t n)
{
	return ~by_tables(~crc, p, n);
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <string.h>

/* Processors since 2008 have an instruction for this very polynomial. */
__attribute__((target("sse4.2"))) static uint32_t by_processor(uint32_t crc, const uint8_t *b,
							       size_t n)
{
	uint64_t wide = crc, words[4];

	for (; n >= sizeof(words); n -= sizeof(words), b += sizeof(words)) {
		memcpy(words, b, sizeof(words));
		wide = __builtin_ia32_crc32di(wide, words[0]);
		wide = __builtin_ia32_crc32di(wide, words[1]);
		wide = __builtin_ia32_crc32di(wide, words[2]);
		wide = __builtin_ia32_crc32di(wide, words[3]);
	}
	for (; n >= sizeof(words[0]); n -= sizeof(words[0]), b += sizeof(words[0])) {
		memcpy(words, b, sizeof(words[0]));
		wide = __builtin_ia32_crc32di(wide, words[0]);
	}
	crc = (uint32_t)wide;
	for (; n > 0; n--, b++)
		crc = __builtin_ia32_crc32qi(crc, *b);
	return crc;
}

uint32_t ipsp_crc32c(uint32_t crc, const void *p, size_t n)
{
	return ~(__builtin_cpu_supports("sse4.2") ? by_processor : by_tables)(~crc, p, n);
}
#else
uint32_t ipsp_crc32c(uint32_t crc, const void *p, size_t n)
{
	return ipsp_crc32c_plain(crc, p, n);
}
#endif
