/*
 * faults - what is wrong with a configuration file, collected so that all of it is told at once
 * and in the order of the file.
 */
#ifndef IPSPD_FAULTS_H
#define IPSPD_FAULTS_H

#include "daemon/config.h"

struct ipspd_fault {
	unsigned line; /* 0: the file as a whole */
	size_t number; /* in the order found */
	bool warning;
	char *key, *text; /* owned */
};

struct ipspd_faults {
	struct ipspd_fault *items; /* owned, n */
	size_t n, cap, n_errors;
	bool failed; /* memory ran out: some are missing */
};

void ipspd_faults_add(struct ipspd_faults *faults, bool warning, unsigned line, const char *key,
		      const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Is something wrong (no mere warning) with @key on that line already, among the first @n faults?
 */
bool ipspd_faults_has(const struct ipspd_faults *faults, size_t n, unsigned line, const char *key);

/* Tells all, sorted by line, and frees them. */
void ipspd_faults_tell(struct ipspd_faults *faults, const char *path, ipspd_config_fault_fn *fault,
		       void *arg);

#endif
