/*
 * host - whom a request takes this server for. A page of a stranger may make a browser ask under a
 * name that it has just pointed to this address (DNS rebinding), and read what comes. Such a
 * request names the stranger's host. So the names must be known here; addresses, which no name
 * server can point elsewhere, may be any.
 */
#include "monitor/http.h"
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static bool is_own_name(const char *host)
{
	char own[256] = "";

	return gethostname(own, sizeof(own) - 1) == 0 && *own && strcasecmp(host, own) == 0;
}

/* "name:80", "10.0.0.1", "[::1]:9618" without the port; false: it is none of these. */
static bool without_port(const char *host, char *name, size_t size, bool *brackets)
{
	size_t n = strcspn(host, ":");

	*brackets = host[0] == '[';
	if (*brackets) {
		host++;
		n = strcspn(host, "]");
		if (host[n] != ']')
			return false;
	}
	if (n == 0 || n >= size)
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	host += n + *brackets;
	return *host == '\0' || (*host == ':' && host[1 + strspn(host + 1, "0123456789")] == '\0');
}

bool http_host_ok(const char *host, const char *const *names, size_t n_names)
{
	unsigned char bytes[16];
	char name[256];
	bool brackets;

	if (!host)
		return true; /* no browser leaves it out */
	if (!without_port(host, name, sizeof(name), &brackets))
		return false;
	if (inet_pton(brackets ? AF_INET6 : AF_INET, name, bytes) == 1)
		return true;
	if (brackets)
		return false;
	for (size_t i = 0; i < n_names; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return strcasecmp(name, "localhost") == 0 || is_own_name(name);
}
