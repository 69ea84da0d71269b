/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between the probe engine and the world: packets, names and their times. platform/ puts sockets and c-ares
 * behind it, the tests a simulated internet. The engine itself reads no clock.
 */
#ifndef MESHPING_CORE_TRANSPORT_H
#define MESHPING_CORE_TRANSPORT_H

#include <meshping/address.h>

/* An ICMP message to send, and how that went. */
typedef struct meshping__tx {
    meshping_address to;
    const uint8_t *bytes;
    size_t length;
    uint8_t dscp, ttl; /* ttl 0: the system's default */
    bool dont_fragment;
    const meshping_address *source; /* NULL: the system chooses */
    const char *interface;          /* NULL: by the routes */
    /* set by send: */
    uint32_t mtu;                       /* with EMSGSIZE: of the link, 0: not known */
    int sys_errno;                      /* 0: sent */
    int64_t sent_mono_ns, sent_unix_ns; /* never after it was sent, and shortly before, but where */
    bool held_up;                       /* the process was: it may have been sent more than 0.1 ms later */
} meshping__tx;

/* A received packet, or an error that the kernel queued about one of ours. */
typedef struct meshping__rx {
    uint8_t family;
    bool ip_header;    /* bytes start with an IPv4 header */
    bool truncated;    /* there was more than the transport had room for */
    bool via_loopback; /* came in over the loopback interface */
    bool is_error;     /* queued error: type, code and info of it; bytes are our own message, `to` is where it went */
    uint8_t error_type, error_code;
    uint32_t error_info; /* the MTU of a "too big" */
    meshping_address from;
    meshping_address to;  /* family NONE when unknown */
    const uint8_t *bytes; /* valid until the next call of receive */
    size_t length;
    int64_t stamp_unix_ns;              /* when the kernel received it, on the wall clock; 0: no stamp */
    int64_t read_mono_ns, read_unix_ns; /* when it was read from the socket */
} meshping__rx;

/* A probe that was not answered. */
typedef struct meshping__miss {
    const meshping_address *to;
    const meshping_address *source;     /* NULL: the system chose */
    const char *interface;              /* NULL: by the routes */
    const meshping_address *error_from; /* who sent an ICMP error about it; family NONE: nobody */
    int64_t sent_mono_ns;
} meshping__miss;

#define MESHPING__RESOLUTION_MAX 16

typedef struct meshping__resolution {
    uint64_t token;
    size_t count;                                         /* 0: failed */
    meshping_address addresses[MESHPING__RESOLUTION_MAX]; /* the best first */
} meshping__resolution;

typedef struct meshping__transport meshping__transport;
struct meshping__transport {
    int fd; /* to watch for reading; -1 in a simulation */
    /*
     * Identifiers: a probe's number modulo 2^number_bits is on the wire, the low 16 bits as the sequence, the rest
     * in the low bits of the identifier, whose other bits are fixed a family. 16 (the kernel gives one identifier)
     * to 20.
     */
    unsigned number_bits;
    uint16_t identifier_v4, identifier_v6;

    /*
     * Sends all, in order, without blocking; fills errno and times of each. `together`: several may share a system
     * call, which is cheaper; their times are then some 10 us less exact.
     */
    void (*send)(meshping__transport *self, meshping__tx *packets, size_t count, bool together);
    /* Up to `max` packets; 0: nothing is waiting. */
    size_t (*receive)(meshping__transport *self, meshping__rx *packets, size_t max);
    /* process() ends: from now on fd has to tell when something comes. */
    void (*rest)(meshping__transport *self);
    /* Packets that the family's socket had no room for, since the start. */
    uint64_t (*drops)(meshping__transport *self, uint8_t family);
    /* process() begins: takes note of this host's own network, its links and suspends. */
    void (*watch)(meshping__transport *self);
    /*
     * Did this host itself stand between the probe and its reply, since it was sent? The outcome of class LOCAL_ERROR
     * that says so, or 0.
     */
    uint8_t (*blame)(meshping__transport *self, const meshping__miss *miss);
    /* Messages of up to `length` bytes will be received. NOMEM: as it was. */
    meshping_status (*reserve)(meshping__transport *self, size_t length);
    /*
     * Starts to look a name up; after OK the outcome comes from `resolved`, exactly once, and never from within this
     * call. NOMEM: nothing was started.
     */
    meshping_status (*resolve)(meshping__transport *self, uint64_t token, const char *host, uint8_t family);
    bool (*resolved)(meshping__transport *self, meshping__resolution *out);
    /* When the transport itself wants to run (retries of the resolver); INT64_MAX: never. */
    int64_t (*deadline_ns)(meshping__transport *self, int64_t now_mono_ns);
    void (*close)(meshping__transport *self); /* frees it */
};

#endif
