/* confsave - the running configuration back into its file: a few values changed in place. */
#include "base/err.h"
#include "daemon/config.h"
#include "daemon/conftext.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAVE_PATH_MAX PATH_MAX

struct edit { /* text[from..to) becomes what stands in @put */
	size_t from, to;
	char put[128];
};

struct save {
	const char *path;
	const char *text; /* of the file as it is; borrowed */
	size_t n;
	struct stat st;
	struct ipspd_conftext ct;
	struct edit *edits; /* owned, n_edits, in the order of the file */
	size_t n_edits;
	struct ipsp_buf out;
	char *why;
	size_t n_why;
};

static int refuse(struct save *sv, int err, const char *format, const char *what)
{
	snprintf(sv->why, sv->n_why, format, sv->path, what);
	return err;
}

static int refuse_io(struct save *sv)
{
	return refuse(sv, IPSP_ERR_IO, "%s: %s; the file is as it was", strerror(errno));
}

/* ---------------------------------------------------------------- edits */

static const char *mode_word(enum ipsp_mode mode)
{
	switch (mode) {
	case IPSP_MODE_ACTIVE:
		return "active";
	case IPSP_MODE_INACTIVE:
		return "inactive";
	case IPSP_MODE_CHECK:
		return "check-config";
	}
	return "active";
}

static struct edit *add_edit(struct save *sv, size_t from, size_t to)
{
	struct edit *edit = &sv->edits[sv->n_edits++]; /* there is room for one a context */

	*edit = (struct edit){.from = from, .to = to};
	return edit;
}

/* From @at over blanks and comments to the end of the line; @at itself where more follows on it. */
static size_t rest_of_line(const char *text, size_t at)
{
	size_t p = at;
	const char *end;

	for (;;) {
		p += strspn(text + p, " \t\r");
		if (text[p] == '\n' || text[p] == '\0')
			return p;
		if (text[p] == '#' || (text[p] == '/' && text[p + 1] == '/')) {
			p += strcspn(text + p, "\n");
			continue;
		}
		end = text[p] == '/' && text[p + 1] == '*' ? strstr(text + p + 2, "*/") : NULL;
		if (!end || memchr(text + p, '\n', (size_t)(end - text) - p))
			return at;
		p = (size_t)(end - text) + 2;
	}
}

/* The blanks that the line of @at begins with. */
static int indent_of(const char *text, size_t at, const char **indent)
{
	size_t line = at;

	while (line > 0 && text[line - 1] != '\n')
		line--;
	*indent = text + line;
	return (int)strspn(*indent, " \t");
}

/* A mode where none was written: behind the setting that names the peer, on a line of its own if
 * that has one. */
static void insert_mode(struct save *sv, const struct ipspd_conftext_item *psp, const char *word)
{
	const struct ipspd_conftext_item *peer = ipspd_conftext_child(&sv->ct, psp, "primary", 0);
	size_t end, at;
	const char *indent;
	int n;

	if (!peer)
		peer = ipspd_conftext_child(&sv->ct, psp, "secondary", 0);
	if (!peer)
		return; /* then the file has a fault, which is told when the result is checked */
	end = peer->end;
	at = rest_of_line(sv->text, end);
	n = indent_of(sv->text, peer->name, &indent);
	if (end == peer->value_end) /* it ends without a ; */
		snprintf(add_edit(sv, end, end)->put, sizeof(sv->edits->put), "; mode = \"%s\";",
			 word);
	else if (at > end || sv->text[end] == '\n')
		snprintf(add_edit(sv, at, at)->put, sizeof(sv->edits->put), "\n%.*smode = \"%s\";",
			 n < 64 ? n : 64, indent, word);
	else
		snprintf(add_edit(sv, end, end)->put, sizeof(sv->edits->put), " mode = \"%s\";",
			 word);
}

static void edit_mode(struct save *sv, const struct ipspd_conftext_item *psp, enum ipsp_mode mode)
{
	const struct ipspd_conftext_item *item = ipspd_conftext_child(&sv->ct, psp, "mode", 0);

	if (item && !ipspd_conftext_is(&sv->ct, item, mode_word(mode)))
		snprintf(add_edit(sv, item->value, item->value_end)->put, sizeof(sv->edits->put),
			 "\"%s\"", mode_word(mode));
	else if (!item && mode != IPSP_MODE_ACTIVE)
		insert_mode(sv, psp, mode_word(mode));
}

/* The setting goes, with the blanks before it and, where it had its lines to itself, the line ends
 * and its comment. */
static void remove_setting(struct save *sv, const struct ipspd_conftext_item *item)
{
	const char *text = sv->text;
	size_t from = item->name, to = rest_of_line(text, item->end);
	bool line_start;

	while (from > 0 && (text[from - 1] == ' ' || text[from - 1] == '\t'))
		from--;
	line_start = from == 0 || text[from - 1] == '\n';
	if (line_start && text[to] == '\n')
		to++;
	else if (!line_start)
		to = item->end; /* a comment behind it may be about what stands before it */
	else
		from = item->name; /* more follows on the line: its indent stays */
	add_edit(sv, from, to);
}

static const struct ipspd_conftext_item *find_context(struct save *sv, const char *name)
{
	const struct ipspd_conftext *ct = &sv->ct;
	const struct ipspd_conftext_item *list = ipspd_conftext_child(ct, ct->items, "contexts", 0);
	const struct ipspd_conftext_item *group = NULL, *item;
	size_t from = 0;

	while (list && (group = ipspd_conftext_child(ct, list, NULL, from))) {
		item = ipspd_conftext_child(ct, group, "name", 0);
		if (item && ipspd_conftext_is(ct, item, name))
			return group;
		from = (size_t)(group - ct->items) + 1;
	}
	return NULL;
}

static const struct ipspd_conftext_item *find_psp(struct save *sv,
						  const struct ipspd_conftext_item *context)
{
	const struct ipspd_conftext *ct = &sv->ct;
	const struct ipspd_conftext_item *list = ipspd_conftext_child(ct, context, "interfaces", 0);
	const struct ipspd_conftext_item *group, *item;
	size_t from = 0;

	while (list && (group = ipspd_conftext_child(ct, list, NULL, from))) {
		item = ipspd_conftext_child(ct, group, "pool-share-protocol", 0);
		if (item)
			return item;
		from = (size_t)(group - ct->items) + 1;
	}
	return NULL;
}

static int by_place(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static int make_edits(struct save *sv, const struct ipspd_config *config)
{
	sv->edits = calloc(config->n_contexts + 1, sizeof(*sv->edits));
	if (!sv->edits)
		return refuse(sv, IPSP_ERR_IO, "%s: %s", "memory ran out");
	for (size_t i = 0; i < config->n_contexts; i++) {
		const struct ipsp_context_conf *conf = &config->contexts[i];
		const struct ipspd_conftext_item *context = find_context(sv, conf->name);
		const struct ipspd_conftext_item *psp = context ? find_psp(sv, context) : NULL;

		if (!context)
			return refuse(
				sv, IPSP_ERR_INVALID,
				"%s: context \"%s\" is not in the file any more; reload first",
				conf->name);
		if (conf->psp.enabled && !psp)
			return refuse(
				sv, IPSP_ERR_INVALID,
				"%s: context \"%s\" has no pool-share-protocol in the file any "
				"more; reload first",
				conf->name);
		if (!conf->psp.enabled && psp)
			remove_setting(sv, psp);
		else if (psp)
			edit_mode(sv, psp, conf->psp.mode);
	}
	qsort(sv->edits, sv->n_edits, sizeof(*sv->edits), by_place);
	return 0;
}

static int apply_edits(struct save *sv)
{
	size_t at = 0;

	for (size_t i = 0; i < sv->n_edits; i++) {
		const struct edit *edit = &sv->edits[i];

		ipsp_buf_put(&sv->out, sv->text + at, edit->from - at);
		ipsp_buf_put(&sv->out, edit->put, strlen(edit->put));
		at = edit->to;
	}
	ipsp_buf_put(&sv->out, sv->text + at, sv->n - at);
	return sv->out.failed ? refuse(sv, IPSP_ERR_IO, "%s: %s", "memory ran out") : 0;
}

/* ---------------------------------------------------------------- files */

/* The file as it is, to be freed; NULL with a reason. */
static char *read_all(struct save *sv)
{
	int fd = open(sv->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text = NULL;
	ssize_t got = 1;

	if (fd >= 0 && fstat(fd, &sv->st) == 0 && S_ISREG(sv->st.st_mode))
		text = calloc(1, (size_t)sv->st.st_size + 1);
	while (text && got != 0 && sv->n < (size_t)sv->st.st_size) {
		got = read(fd, text + sv->n, (size_t)sv->st.st_size - sv->n);
		if (got < 0 && errno != EINTR)
			break;
		sv->n += got > 0 ? (size_t)got : 0;
	}
	if (!text || got < 0) {
		refuse_io(sv);
		free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	return text;
}

static bool write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno != EINTR)
			return false;
		p += put > 0 ? put : 0;
		n -= put > 0 ? (size_t)put : 0;
	}
	return true;
}

/* A file of the same owner and mode as the one that is saved, durable when 0 is returned. */
static int write_new(struct save *sv, const char *path, const void *bytes, size_t n)
{
	int fd, err = 0;

	unlink(path); /* what a save that was cut off left behind */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return refuse_io(sv);
	if ((sv->st.st_uid != geteuid() || sv->st.st_gid != getegid()) &&
	    fchown(fd, sv->st.st_uid, sv->st.st_gid) != 0)
		err = refuse(sv, IPSP_ERR_IO,
			     "%s: its owner can't be kept: %s; the file is as it was",
			     strerror(errno));
	else if (fchmod(fd, sv->st.st_mode & 07777) != 0 || !write_all(fd, bytes, n) ||
		 fsync(fd) != 0)
		err = refuse_io(sv);
	close(fd);
	if (err)
		unlink(path);
	return err;
}

static void first_fault(void *arg, bool warning, const char *text)
{
	struct save *sv = arg;

	if (!warning && sv->why[0] == '\0')
		snprintf(sv->why, sv->n_why, "%s; the file is as it was", text);
}

/* What would be written must be read again as what is meant; else the operator's own edits are in
 * the way. */
static int check_new(struct save *sv, const char *path, const struct ipspd_config *config)
{
	struct ipspd_config again;
	bool same = true;

	sv->why[0] = '\0';
	if (ipspd_config_read(path, &again, first_fault, sv) != 0)
		return IPSP_ERR_INVALID;
	for (size_t i = 0; i < config->n_contexts; i++)
		for (size_t k = 0; k < again.n_contexts; k++) {
			const struct ipsp_context_conf *x = &config->contexts[i];
			const struct ipsp_context_conf *y = &again.contexts[k];

			if (strcmp(x->name, y->name) == 0)
				same &= x->psp.enabled == y->psp.enabled &&
					(!x->psp.enabled || x->psp.mode == y->psp.mode);
		}
	ipspd_config_fini(&again);
	return same ? 0
		    : refuse(sv, IPSP_ERR_INVALID, "%s: %s; it is as it was",
			     "the values could not be put into the file");
}

static int flush_folder(struct save *sv)
{
	char folder[SAVE_PATH_MAX];
	char *slash;
	int fd, err = 0;

	snprintf(folder, sizeof(folder), "%s", sv->path);
	slash = strrchr(folder, '/');
	slash[slash == folder ? 1 : 0] = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		err = refuse(sv, IPSP_ERR_IO, "%s: %s; written, but perhaps not yet durable",
			     strerror(errno));
	if (fd >= 0)
		close(fd);
	return err;
}

static int rename_to(struct save *sv, const char *from, const char *to)
{
	return rename(from, to) == 0 ? 0 : refuse_io(sv);
}

static int replace(struct save *sv, const struct ipspd_config *config)
{
	char aside[SAVE_PATH_MAX + 8], old[SAVE_PATH_MAX + 8], backup[SAVE_PATH_MAX + 8];
	int err;

	snprintf(aside, sizeof(aside), "%s.new", sv->path);
	snprintf(old, sizeof(old), "%s.old", sv->path);
	snprintf(backup, sizeof(backup), "%s~", sv->path);
	err = write_new(sv, aside, sv->out.data, sv->out.len);
	if (err == 0)
		err = check_new(sv, aside, config);
	if (err == 0)
		err = write_new(sv, old, sv->text, sv->n);
	if (err == 0)
		err = rename_to(sv, old, backup);
	if (err == 0)
		err = rename_to(sv, aside, sv->path);
	if (err == 0)
		return flush_folder(sv);
	unlink(aside);
	unlink(old);
	return err;
}

static int save(struct save *sv, const struct ipspd_config *config)
{
	int err;

	if (ipspd_conftext_parse(&sv->ct, sv->text) != 0)
		return refuse(sv, IPSP_ERR_INVALID, "%s: %s",
			      "is not a good configuration any more");
	err = make_edits(sv, config);
	if (err == 0 && sv->n_edits > 0)
		err = apply_edits(sv);
	if (err == 0 && sv->n_edits > 0)
		err = replace(sv, config);
	ipspd_conftext_fini(&sv->ct);
	ipsp_buf_fini(&sv->out);
	free(sv->edits);
	return err;
}

int ipspd_config_write(const char *path, const struct ipspd_config *config, char *why, size_t n_why)
{
	char real[SAVE_PATH_MAX];
	struct save sv = {.path = real, .why = why, .n_why = n_why};
	char *text;
	int err = IPSP_ERR_IO;

	if (!realpath(path, real)) { /* a symbolic link stays one: what it points to is replaced */
		snprintf(why, n_why, "%s: %s", path, strerror(errno));
		return IPSP_ERR_IO;
	}
	text = read_all(&sv);
	if (text) {
		sv.text = text;
		err = save(&sv, config);
	}
	free(text);
	return err;
}
