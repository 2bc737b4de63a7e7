/*
 * The small files of the state directory: lease.NAME and snmp-engine. One that is not understood is
 * as good as none; what is understood is in its ranges, and is the same once it is written again.
 *
 * The input: u8 which, and how much of it is put right | the file.
 */
#include "core/node.h"
#include "daemon/engine.h"
#include "daemon/lease.h"
#include "daemon/store_int.h"
#include "folder.h"
#include "fuzz.h"
#include "input.h"
#include <unistd.h>

enum { ENGINE = 1, THIS_BOOT = 2, CHECKED = 4 };

static void lease(uint8_t how, const uint8_t *data, size_t n)
{
	uint8_t bytes[256];
	char boot[STORE_BOOT_LEN + 1];
	struct ipsp_lease_note note, again;
	bool found, same_boot, found_again;

	n = n < sizeof(bytes) ? n : sizeof(bytes);
	memcpy(bytes, data, n);
	if (how & THIS_BOOT && n >= 128) {
		store_boot_id(boot);
		memcpy(bytes + 42, boot, STORE_BOOT_LEN);
	}
	if (how & CHECKED && n >= 128)
		ipsp_store_u32(bytes + 124, ipsp_crc32c(0, bytes, 124));
	fuzz_write(fuzz_path("lease.isp1"), bytes, n);
	const int fd = ipspd_lease_open(fuzz_folder(), "isp1");
	must(fd >= 0 && ipspd_lease_reserve(fd) == 0);
	ipspd_lease_read(fd, "isp1", &note, &found, &same_boot);
	must(found || !same_boot);
	must(ipspd_lease_write(fd, "isp1", &note) == 0);
	ipspd_lease_read(fd, "isp1", &again, &found_again, &same_boot);
	must(found_again && same_boot && memcmp(&note, &again, sizeof(note)) == 0);
	ipspd_lease_read(fd, "isp2", &again, &found_again, &same_boot);
	must(!found_again && !same_boot);
	close(fd);
}

static void engine(const uint8_t *data, size_t n)
{
	struct ipspd_engine one, two;
	char why[400], text[2 * IPSPD_ENGINE_ID + 1];

	fuzz_write(fuzz_path("snmp-engine"), data, n);
	const int made = ipspd_engine_load(fuzz_folder(), &one, why, sizeof(why));
	must(made == 0 || made == 1);
	must(why[0] == 0 && one.boots >= 1 && one.boots <= 2147483647u);
	must(strncmp(ipspd_engine_text(&one, text), "80001f8805", 10) == 0);
	must(ipspd_engine_load(fuzz_folder(), &two, why, sizeof(why)) == 0);
	must(memcmp(one.id, two.id, sizeof(one.id)) == 0 && two.boots >= one.boots);
	must(two.boots > one.boots || one.boots == 2147483647u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = {data, n};
	const uint8_t how = in_u8(&in);

	fuzz_folder();
	if (how & ENGINE)
		engine(in.p, in.n);
	else
		lease(how, in.p, in.n);
	return 0;
}
