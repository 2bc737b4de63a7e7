/*
 * flood ADDRESS PORT PEER SECONDS - strangers without the key: datagrams at ADDRESS and PORT as
 * fast as they go, half of them with the peer's own address and port as their source, with the TTL
 * that the daemon wants, half of them from anywhere in its net. What they say: handshakes with a
 * wrong MAC, datagrams sealed with nothing, and noise. Prints how many were sent, and how many
 * seconds that took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#define ROW   64
#define BODY  152
#define WHOLE (sizeof(struct iphdr) + sizeof(struct udphdr) + BODY)

static uint64_t state = 88172645463325252U;

static uint64_t number(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make(uint8_t *p, uint32_t to, uint32_t peer, uint16_t port, unsigned i)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 255, .protocol = IPPROTO_UDP};
	struct udphdr udp = {.dest = htons(port)};
	uint8_t *body = p + sizeof(ip) + sizeof(udp);

	ip.tot_len = htons(WHOLE);
	ip.daddr = to;
	ip.saddr =
		i % 2 ? peer : htonl((ntohl(peer) & 0xffffff00U) | (uint32_t)(number() % 250 + 3));
	udp.source = i % 2 ? htons(port) : htons((uint16_t)(1024 + number() % 60000));
	udp.len = htons(sizeof(udp) + BODY); /* no checksum: IPv4 does without */
	for (unsigned at = 0; at < BODY; at += 8) {
		const uint64_t eight = number();
		memcpy(body + at, &eight, 8);
	}
	if (i % 8 < 6) { /* what looks like one of ours */
		memcpy(body, "IP\2", 3);
		body[3] = i % 8 < 4 ? 1 : 2;
	}
	if (i % 8 < 4) {
		memset(body + 4, 0, 12);
		body[15] = 2;
		memset(body + 80, 0, 32);
	}
	memcpy(p, &ip, sizeof(ip));
	memcpy(p + sizeof(ip), &udp, sizeof(udp));
}

int main(int argc, char **argv)
{
	static uint8_t bytes[ROW][WHOLE];
	static struct mmsghdr row[ROW];
	static struct iovec parts[ROW];
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct in_addr peer;
	unsigned long long sent = 0;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 ||
	    inet_pton(AF_INET, argv[3], &peer) != 1)
		return 2;
	const uint16_t port = (uint16_t)atoi(argv[2]);
	const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (fd < 0) {
		perror("socket");
		return 1;
	}
	for (unsigned i = 0; i < ROW; i++) {
		parts[i] = (struct iovec){bytes[i], WHOLE};
		row[i].msg_hdr = (struct msghdr){.msg_name = &to,
						 .msg_namelen = sizeof(to),
						 .msg_iov = &parts[i],
						 .msg_iovlen = 1};
	}
	const double began = now(), end = began + atof(argv[4]);
	for (unsigned turn = 0; now() < end; turn++) {
		for (unsigned i = 0; i < ROW; i++)
			if (turn % 16 == 0 ||
			    i % 2 == 0) /* new ones now and then: it is the sending that counts */
				make(bytes[i], to.sin_addr.s_addr, peer.s_addr, port, i);
		const int n = sendmmsg(fd, row, ROW, 0);
		sent += n > 0 ? (unsigned)n : 0;
	}
	printf("%llu %.3f\n", sent, now() - began);
	return 0;
}
