/* SPDX-License-Identifier: Apache-2.0 */
#include "profile.h"

#include <stdlib.h>
#include <string.h>

const char profile_help[] =
    "HOST is ADDRESS[/PREFIX][:KEY=VALUE,...], the first that fits an address counts:\n"
    "  delay=20ms jitter=3ms     round trip: delay + uniform [0, jitter); units us, ms, s\n"
    "  loss=0.05 duplicate=0.01  probabilities, 0 to 1\n"
    "  reorder=0.1               the reply is held back by another delay + jitter + 1 ms\n"
    "  late=0.01 late_by=4s      the reply comes later than that\n"
    "  unreachable=P prohibited=P  an ICMP error instead\n"
    "  flap=60s                  answers for so long, then not for so long, and so on\n"
    "  forge=P forge_only=P      a bad reply before (instead of) the good one, of kind=any or\n"
    "                            wrong_source wrong_cookie wrong_payload bad_checksum truncated too_long wrong_id\n"
    "                            wrong_sequence wrong_type reflected foreign_error wrong_code wrong_number\n"
    "                            wrong_last_byte wrong_engine cut_identity zero_payload swapped_identity\n"
    "                            error_wrong_cookie error_wrong_number error_wrong_sequence error_about_reply\n"
    "                            error_bad_checksum\n";

const char *profile_forgery_name(profile_forgery kind)
{
    static const char *const names[] = {
#define XX(name, text) text,
        PROFILE_FORGERY_MAP(XX)
#undef XX
    };
    return kind >= 0 && kind < FORGE_COUNT ? names[kind] : "any";
}

static bool parse_time(int64_t *out_ns, const char *text)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    char *end;
    double value = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (end != text && strcmp(end, units[i].unit) == 0 && value >= 0 && value <= 86400e9 / units[i].ns) {
            *out_ns = (int64_t)(value * units[i].ns);
            return true;
        }
    return false;
}

static bool parse_probability(double *out, const char *text)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == 0 && *out >= 0 && *out <= 1;
}

static bool parse_kind(profile_forgery *out, const char *text)
{
    *out = FORGE_ANY;
    for (int kind = 0; kind < FORGE_COUNT; kind++)
        if (strcmp(text, profile_forgery_name((profile_forgery)kind)) == 0)
            *out = (profile_forgery)kind;
    return *out != FORGE_ANY || strcmp(text, "any") == 0;
}

static bool set(profile *host, const char *key, const char *value)
{
    const struct {
        const char *name;
        int64_t *time_ns;
        double *probability;
    } keys[] = {
        {"delay", &host->delay_ns, NULL},
        {"jitter", &host->jitter_ns, NULL},
        {"flap", &host->flap_ns, NULL},
        {"late_by", &host->late_ns, NULL},
        {"loss", NULL, &host->loss},
        {"duplicate", NULL, &host->duplicate},
        {"reorder", NULL, &host->reorder},
        {"late", NULL, &host->late},
        {"unreachable", NULL, &host->unreachable},
        {"prohibited", NULL, &host->prohibited},
        {"forge", NULL, &host->forge},
        {"forge_only", NULL, &host->forge},
    };
    if (strcmp(key, "kind") == 0)
        return parse_kind(&host->kind, value);
    if (strcmp(key, "forge_only") == 0)
        host->instead = true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i].name) == 0)
            return keys[i].time_ns ? parse_time(keys[i].time_ns, value) : parse_probability(keys[i].probability, value);
    return false;
}

static meshping_status parse_network(profile *out, char *text, meshping_error *err)
{
    char *slash = strchr(text, '/');
    if (slash)
        *slash++ = 0;
    meshping_status status = meshping_address_parse(&out->network, text, err);
    if (status != MESHPING_OK)
        return status;
    unsigned bits = out->network.family == MESHPING_FAMILY_IPV4 ? 32 : 128;
    char *end = NULL;
    unsigned long prefix = slash ? strtoul(slash, &end, 10) : bits;
    if (slash && (end == slash || *end || prefix > bits))
        return meshping_error_set(err, MESHPING_INVALID, "'%s' is no prefix length", slash);
    out->prefix = (unsigned)prefix;
    return MESHPING_OK;
}

meshping_status profile_parse(profile *out, const char *text, meshping_error *err)
{
    char copy[512];
    *out = (profile){.kind = FORGE_ANY, .late_ns = INT64_C(4000000000)};
    if (strlen(text) >= sizeof copy)
        return meshping_error_set(err, MESHPING_INVALID, "a host's description is too long");
    memcpy(copy, text, strlen(text) + 1);
    char *settings = NULL, *equals = strchr(copy, '='), *rest = NULL;
    if (equals) { /* the colon before the first key: IPv6 addresses have colons too */
        for (char *at = equals; at > copy && !settings; at--)
            if (*at == ':')
                settings = at;
        if (!settings)
            return meshping_error_set(err, MESHPING_INVALID, "'%s': a ':' is missing before the settings", text);
        *settings++ = 0;
    }
    meshping_status status = parse_network(out, copy, err);
    for (char *one = settings ? strtok_r(settings, ",", &rest) : NULL; one && status == MESHPING_OK;
         one = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(one, '=');
        if (value)
            *value++ = 0;
        if (!value || !set(out, one, value))
            status =
                meshping_error_set(err, MESHPING_INVALID, "'%s=%s' is no setting of a host", one, value ? value : "");
    }
    return status;
}

bool profile_covers(const profile *host, const meshping_address *address)
{
    if (host->network.family != address->family)
        return false;
    unsigned whole = host->prefix / 8, rest = host->prefix % 8;
    if (memcmp(host->network.bytes, address->bytes, whole) != 0)
        return false;
    return rest == 0 || (host->network.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}
