/*
 * confread - how the parts of the reader see the file: settings, and tables of the keys that a
 * group may have. Inside of config.c, confcontext.c, confpools.c, confsnmp.c and confrules.c.
 */
#ifndef IPSPD_CONFREAD_H
#define IPSPD_CONFREAD_H

#include "daemon/config.h"
#include "daemon/faults.h"

struct ipspd_setting; /* one setting of the file; only config.c knows what it is made of */

struct ipspd_confread { /* one reading */
	struct ipspd_config *config;
	struct ipspd_faults faults;
	const struct ipspd_setting **context_settings; /* of config->contexts[i]; owned */
	bool huge_number;			       /* some number did not fit, and was told */
};

enum ipspd_key_kind {
	IPSPD_KEY_BOOL,
	IPSPD_KEY_INT,
	IPSPD_KEY_TEXT,
	IPSPD_KEY_GROUP,
	IPSPD_KEY_LIST,
	IPSPD_KEY_OTHER
};

/*
 * A key that a group may have. The kind is checked, an INT to be @min..@max, a TEXT to have
 * @min..@max bytes of UTF-8 without control characters; then the value goes to @offset of the
 * object (@size 0: nowhere, it is looked up later), or to @read, which checks what is left to
 * check.
 */
struct ipspd_key {
	const char *name;
	enum ipspd_key_kind kind;
	bool required;
	long long min, max;
	size_t offset, size;
	void (*read)(struct ipspd_confread *rd, const struct ipspd_setting *setting, void *object);
};

#define IPSPD_KEY_FIELD(type, field) offsetof(type, field), sizeof(((type *)0)->field)
#define IPSPD_BOOL(name, type, field)                                                              \
	{                                                                                          \
		name, IPSPD_KEY_BOOL, false, 0, 0, IPSPD_KEY_FIELD(type, field), NULL              \
	}
#define IPSPD_INT(name, type, field, lo, hi)                                                       \
	{                                                                                          \
		name, IPSPD_KEY_INT, false, lo, hi, IPSPD_KEY_FIELD(type, field), NULL             \
	}
#define IPSPD_TEXT(name, required, type, field, lo)                                                \
	{                                                                                          \
		name, IPSPD_KEY_TEXT, required, lo, (long long)sizeof(((type *)0)->field) - 1,     \
			IPSPD_KEY_FIELD(type, field), NULL                                         \
	}
#define IPSPD_READ(name, kind, required, read)                                                     \
	{                                                                                          \
		name, kind, required, 0, 4096, 0, 0, read                                          \
	}
#define IPSPD_KEYS_END                                                                             \
	{                                                                                          \
		NULL, IPSPD_KEY_OTHER, false, 0, 0, 0, 0, NULL                                     \
	}

/* Goes through a group, key by key; @object is what the offsets of @keys are of. */
void ipspd_confread_group(struct ipspd_confread *rd, const struct ipspd_setting *group,
			  const struct ipspd_key *keys, void *object);

/* @setting names the line and the key. */
void ipspd_confread_fault(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			  const char *format, ...) __attribute__((format(printf, 3, 4)));
void ipspd_confread_warn(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 const char *format, ...) __attribute__((format(printf, 3, 4)));
/* What the file names is not there. @meanwhile: what follows from that, and what to do. */
void ipspd_confread_lack(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 const struct ipspd_lack *lack, const char *meanwhile);
/* For a key that is missing in @group: the line of the group, the name of the key. */
void ipspd_confread_missing(struct ipspd_confread *rd, const struct ipspd_setting *group,
			    const char *key, const char *text);

struct ipspd_word {
	const char *word;
	int value;
};
/* The text of @setting is one of @words (ends with a NULL): true, with its value; else a fault that
 * lists them. */
bool ipspd_confread_word(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 const struct ipspd_word *words, int *value);
/* An absolute path that fits into @path. */
bool ipspd_confread_path(struct ipspd_confread *rd, const struct ipspd_setting *setting, char *path,
			 size_t cap);

/* The same of a file with a secret, which may be "credential:NAME" of the unit. */
bool ipspd_confread_secret(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			   char *path, size_t cap);

unsigned ipspd_setting_line(const struct ipspd_setting *setting);
const char *
ipspd_setting_name(const struct ipspd_setting *setting); /* an element: that of its list */
const struct ipspd_setting *ipspd_setting_member(const struct ipspd_setting *group,
						 const char *name); /* NULL: none */
size_t ipspd_setting_count(const struct ipspd_setting *setting);
const struct ipspd_setting *ipspd_setting_element(const struct ipspd_setting *setting, size_t i);
bool ipspd_setting_is_group(const struct ipspd_setting *setting);
const char *ipspd_setting_text(const struct ipspd_setting *setting); /* NULL: no text */
bool ipspd_setting_bool(const struct ipspd_setting *setting, bool *value);
bool ipspd_setting_int(const struct ipspd_setting *setting, long long *value);

/* The readers of the large stanzas, for the table of the file itself: @object is the config. */
void ipspd_confread_contexts(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			     void *object); /* confcontext.c */
void ipspd_confread_pools(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			  void *object); /* of a struct ipsp_context_conf; confpools.c */
void ipspd_confread_snmp(struct ipspd_confread *rd, const struct ipspd_setting *setting,
			 void *object); /* confsnmp.c */

/* What can only be judged once all was read: ipsp_conf_check of each context, and the rules across
 * contexts. */
void ipspd_confrules(struct ipspd_confread *rd);

#endif
