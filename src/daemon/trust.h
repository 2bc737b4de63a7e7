/*
 * trust - whom a file's content, and who may change it, is safe with.
 *
 * Root, the effective user of this process and its group are trusted.
 */
#ifndef IPSPD_TRUST_H
#define IPSPD_TRUST_H

#include <stdbool.h>
#include <sys/stat.h>

/* Root, or the effective user: whoever else owns a file can change it at any time. */
bool ipspd_trusts_owner(uid_t owner);

/*
 * Whether anybody who is not trusted can read the file @fd, or anybody but its owner change it: by
 * its mode, or by its access list. systemd's credentials are root's, with a list that names the
 * daemon's user.
 */
bool ipspd_trust_others_can(int fd, const struct stat *st);

/*
 * This process only looks at a configuration (-t), for a daemon that runs as @user where it is root
 * itself: what is that user's is as good as the daemon's own from here on. With @tell,
 * ipspd_trust_hidden() says whether that user can't read @path.
 */
void ipspd_trust_test(const char *user, bool tell);
bool ipspd_trust_testing(void);
bool ipspd_trust_hidden(const char *path);

#endif
