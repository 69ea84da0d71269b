/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Common passwords of 12 characters and more are few words, names and runs of keys put together, with letters swapped
 * for digits and something counted on at the end. So this is a list of the parts, and whatever they make is refused:
 * what is left over of a password when they are taken away must be worth LEFT_MIN characters.
 */
#include "meshpingd/password.h"

#include <string.h>

#define LEFT_MIN 6
#define WORDS_FREE 2 /* each further word of the list is worth WORD_WORTH, when it is another one */
#define WORD_WORTH 3
#define PART_MAX 32

/* By how often they stand in published lists of leaked passwords; lower case, three letters and more. */
static const char *const parts[] = {
    /* the thing itself, and the ways in */
    "password",
    "passwort",
    "passwd",
    "passw",
    "pass",
    "motdepasse",
    "contrasena",
    "wachtwoord",
    "senha",
    "parola",
    "secret",
    "secure",
    "security",
    "login",
    "logon",
    "signin",
    "account",
    "access",
    "welcome",
    "willkommen",
    "bienvenue",
    "letmein",
    "openup",
    "opensesame",
    "changeme",
    "change",
    "default",
    "temporary",
    "temp",
    "initial",
    "system",
    "administrator",
    "administrador",
    "admin",
    "root",
    "superuser",
    "super",
    "sysadmin",
    "user",
    "username",
    "guest",
    "test",
    "testing",
    "tester",
    "demo",
    "example",
    "sample",
    "master",
    "manager",
    "support",
    "service",
    "server",
    "computer",
    "internet",
    "network",
    "office",
    "company",
    "business",
    "database",
    "oracle",
    "mysql",
    "cisco",
    "linux",
    "ubuntu",
    "debian",
    "windows",
    "microsoft",
    "google",
    "facebook",
    "linkedin",
    "twitter",
    "yahoo",
    "hotmail",
    "gmail",
    "samsung",
    "nokia",
    "toyota",
    "mercedes",
    "ferrari",
    "porsche",
    "harley",
    "yamaha",
    "corvette",
    "mustang",
    "camaro",
    "trustno",
    "whatever",
    "nothing",
    "something",
    "anything",
    "unknown",
    "private",
    "public",
    "please",
    "mypass",
    "mypassword",
    "yourpassword",
    "thisis",
    "correcthorse",
    "batterystaple",
    /* keys in a row */
    "qwertyuiop",
    "qwertzuiop",
    "qwerty",
    "qwertz",
    "azerty",
    "qwert",
    "asdfghjkl",
    "asdfgh",
    "asdf",
    "zxcvbnm",
    "zxcvbn",
    "zxcv",
    "yxcvbnm",
    "yxcv",
    "poiuytrewq",
    "poiuy",
    "lkjhgfdsa",
    "lkjh",
    "mnbvcxz",
    "mnbv",
    "qazwsxedc",
    "qazwsx",
    "qaz",
    "wsx",
    "edc",
    "rfv",
    "tgb",
    "yhn",
    "zaq",
    "xsw",
    "cde",
    "vfr",
    "bgt",
    "nhy",
    "asd",
    "zxc",
    "1q2w3e4r5t6y7u8i9o0p",
    "1q2w3e4r5t",
    "1q2w3e4r",
    "1q2w3e",
    "1q2w",
    "q1w2e3r4t5",
    "q1w2e3r4",
    "q1w2e3",
    "1qaz2wsx3edc",
    "1qaz2wsx",
    "1qaz",
    "2wsx",
    "3edc",
    "4rfv",
    "5tgb",
    "6yhn",
    "zaq1",
    "xsw2",
    "1234qwer",
    "qwer1234",
    "qwe",
    "qweasdzxc",
    "qweasd",
    "wasd",
    "iop",
    "jkl",
    "bnm",
    /* feelings, beasts, games, people, teams, seasons */
    "iloveyou",
    "iloveu",
    "loveyou",
    "loveme",
    "lovely",
    "lover",
    "love",
    "forever",
    "always",
    "babygirl",
    "babyboy",
    "baby",
    "honey",
    "sweetheart",
    "sweety",
    "sweet",
    "angel",
    "princess",
    "prince",
    "queen",
    "king",
    "beautiful",
    "pretty",
    "sexy",
    "happy",
    "smile",
    "friends",
    "friend",
    "family",
    "mother",
    "father",
    "mommy",
    "daddy",
    "sister",
    "brother",
    "jesus",
    "christ",
    "heaven",
    "bless",
    "faith",
    "hello",
    "hallo",
    "bonjour",
    "fuckyou",
    "fuckoff",
    "fuck",
    "asshole",
    "bitch",
    "shit",
    "hunter",
    "killer",
    "shadow",
    "dragon",
    "monkey",
    "tiger",
    "lion",
    "eagle",
    "falcon",
    "phoenix",
    "panther",
    "butterfly",
    "dolphin",
    "puppy",
    "kitty",
    "kitten",
    "horse",
    "bear",
    "wolf",
    "snoopy",
    "pokemon",
    "pikachu",
    "naruto",
    "minecraft",
    "fortnite",
    "roblox",
    "nintendo",
    "playstation",
    "xbox",
    "gamer",
    "superman",
    "batman",
    "spiderman",
    "ironman",
    "starwars",
    "skywalker",
    "vader",
    "matrix",
    "gandalf",
    "frodo",
    "football",
    "futbol",
    "soccer",
    "baseball",
    "basketball",
    "hockey",
    "tennis",
    "golfer",
    "golf",
    "arsenal",
    "chelsea",
    "liverpool",
    "manchester",
    "united",
    "barcelona",
    "realmadrid",
    "juventus",
    "bayern",
    "yankees",
    "cowboys",
    "steelers",
    "lakers",
    "rangers",
    "michael",
    "jordan",
    "jennifer",
    "jessica",
    "ashley",
    "amanda",
    "michelle",
    "nicole",
    "daniel",
    "andrew",
    "joshua",
    "matthew",
    "anthony",
    "robert",
    "thomas",
    "william",
    "charlie",
    "george",
    "jackson",
    "hannah",
    "sophie",
    "samantha",
    "maria",
    "andrea",
    "alexander",
    "alexandra",
    "spring",
    "summer",
    "autumn",
    "winter",
    "sommer",
    "herbst",
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "sunshine",
    "sunflower",
    "rainbow",
    "flower",
    "purple",
    "orange",
    "yellow",
    "silver",
    "golden",
    "black",
    "white",
    "green",
    "blue",
    "red",
    "cookie",
    "chocolate",
    "cheese",
    "banana",
    "pepper",
    "ginger",
    "coffee",
    "bailey",
    "buster",
    "maggie",
    "molly",
    "rocky",
    "lucky",
    "freedom",
    "peace",
    "hope",
    "dream",
    "magic",
    "music",
    "guitar",
    "rock",
    "star",
    "diamond",
    "money",
    "dollar",
    "london",
    "paris",
    "berlin",
    "america",
    "germany",
    "england",
    "canada",
    "mexico",
    "brasil",
    "india",
    "china",
    "the",
    "and",
    "you",
    "are",
    "one",
    "two",
    "for",
    /* of this trade: documented in docs/SECURITY.md as words of the context */
    "meshping",
    "meshpingd",
    "mesh",
    "ping",
    "pinger",
    "smokeping",
    "monitoring",
    "monitor",
    "agent",
    "latency",
    "noc",
    "router",
    "switch",
    "gateway",
    "firewall",
    "operator",
    "viewer",
    "dashboard",
    "noctest",
};

#define PARTS (sizeof parts / sizeof parts[0])

/* What people write for a letter. */
static char letter_of(char c)
{
    static const char from[] = "013457@$!|+8", to[] = "oieastasiltb";
    const char *found = c ? strchr(from, c) : NULL;
    if (found)
        return to[found - from];
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t part_at(const char *letters, const char *lower, size_t left, size_t *which)
{
    size_t best = 0;
    for (size_t i = 0; i < PARTS; i++) {
        size_t length = strlen(parts[i]);
        if (length > best && length <= left &&
            (strncmp(letters, parts[i], length) == 0 || strncmp(lower, parts[i], length) == 0)) {
            best = length;
            *which = i;
        }
    }
    return best;
}

/* How long the text goes on repeating itself, or counting up or down, from here: "aaaa", "abab", "1234", "cba". */
static size_t run_at(const char *text, size_t at, size_t length)
{
    size_t best = 0;
    for (int step = -1; step <= 1; step++) {
        size_t n = 1;
        while (at + n < length && text[at + n] - text[at + n - 1] == step)
            n++;
        if (n >= 3 && n > best)
            best = n;
    }
    for (size_t period = 2; period <= PART_MAX && at + 2 * period <= length; period++) {
        size_t n = period;
        while (at + n < length && text[at + n] == text[at + n - period])
            n++;
        if (n >= 2 * period && n > best)
            best = n - (period > 4 ? period : 0); /* a long first part is looked at by itself */
    }
    return best;
}

static size_t digits_at(const char *text, size_t at, size_t length)
{
    size_t n = 0;
    while (at + n < length && text[at + n] >= '0' && text[at + n] <= '9')
        n++;
    return n;
}

bool password_is_common(const char *password, size_t length, const char *user_name)
{
    char letters[PASSWORD_BYTES_MAX + 1], lower[PASSWORD_BYTES_MAX + 1], name[72] = "";
    bool seen[PARTS] = {false};
    size_t left = 0, words = 0, which = 0, name_length = user_name ? strlen(user_name) : 0;
    if (length > PASSWORD_BYTES_MAX)
        return false;
    for (size_t i = 0; i <= length; i++) {
        char c = i < length ? password[i] : 0;
        letters[i] = letter_of(c);
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    if (name_length >= 3 && name_length < sizeof name)
        for (size_t i = 0; i < name_length; i++)
            name[i] = letter_of(user_name[i]);
    else
        name_length = 0;
    for (size_t at = 0; at < length;) {
        size_t part = part_at(letters + at, lower + at, length - at, &which), run = run_at(lower, at, length);
        if (part > run && !seen[which]) {
            seen[which] = true;
            left += words++ >= WORDS_FREE ? WORD_WORTH : 0;
        }
        if (name_length && length - at >= name_length && strncmp(letters + at, name, name_length) == 0 &&
            name_length > part)
            part = name_length;
        if (run > part)
            part = run;
        size_t digits = digits_at(lower, at, length);
        if (part == 0 && digits) { /* a date, a year: three digits are worth one character */
            left += (digits + 2) / 3;
            part = digits;
        } else if (part == 0) {
            /* signs between the parts, and the bytes after a character's first, are worth nothing */
            char c = lower[at];
            left += (c >= 'a' && c <= 'z') || ((unsigned char)c & 0xc0) == 0xc0;
            part = 1;
        }
        at += part;
    }
    return left < LEFT_MIN;
}
