# SPDX-License-Identifier: Apache-2.0
"""Meshping's library from Python: ping, sample blocks, messages, passphrases, and reading a server's store.

Every failing call of the library raises meshping.Error, with .status and .name.
"""

import json
import os
import select
import warnings
from dataclasses import dataclass
from typing import Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import lowlevel
from ._meshping import Error

__all__ = [
    "Buffer",
    "Damage",
    "DamageWarning",
    "Error",
    "Gap",
    "Passphrase",
    "Prober",
    "Result",
    "Sample",
    "Store",
    "decode_block",
    "decode_message",
    "decode_passphrase",
    "encode_block",
    "encode_message",
    "encode_passphrase",
    "ping",
]
__version__ = lowlevel.meshping_version()

_KNOWN_OUTCOMES = {
    code: name
    for code in range(lowlevel.OUTCOME_COUNT)
    if (name := lowlevel.meshping_outcome_name(code)) != "unknown"
}
# those of a newer version by number: its samples are read, too
_OUTCOMES = {code: _KNOWN_OUTCOMES.get(code, f"outcome_{code}") for code in range(lowlevel.OUTCOME_COUNT)}
_OUTCOME_CODES = {name: code for code, name in _OUTCOMES.items()}
_CLASS_OK, _CLASS_FAIL = 0, 1


class Sample(NamedTuple):
    """What one probe found."""

    slot_unix_us: int
    """The slot for which it was scheduled, on the agent's clock."""
    outcome: str
    """ "ok", "timeout", ..., or one of the agent's own troubles: "send_error", "isolated", ...; "outcome_9" for one that
    only a newer version has a name for."""
    rtt_us: Optional[int] = None
    """Round-trip time; None unless outcome is "ok"."""
    flags: int = 0

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"

    @property
    def lost(self) -> bool:
        """The target did not answer. The agent's own trouble is neither ok nor lost."""
        return lowlevel.meshping_outcome_classify(_outcome_code(self.outcome)) == _CLASS_FAIL


def _outcome_code(outcome: str) -> int:
    try:
        return _OUTCOME_CODES[outcome]
    except KeyError:
        raise ValueError(f"unknown outcome {outcome!r}; there are {', '.join(_KNOWN_OUTCOMES.values())}") from None


def _sample(raw) -> Sample:
    slot_unix_us, rtt_us, code, flags = raw
    return Sample(slot_unix_us, _OUTCOMES[code], rtt_us if code == 0 else None, flags)


@dataclass(frozen=True)
class Result:
    """One probe of one target."""

    target: str
    """As it was asked for."""
    sequence: int
    """Of this target's probes, from 0."""
    sample: Sample
    address: Optional[str]
    """What was probed; None when the name has no address."""
    responder: Optional[str]
    """Who answered: the target, or the router that sent an ICMP error; None when nobody did."""
    icmp_type: int
    icmp_code: int
    mtu: int

    @property
    def ok(self) -> bool:
        return self.sample.ok

    @property
    def outcome(self) -> str:
        return self.sample.outcome

    @property
    def rtt_ms(self) -> Optional[float]:
        return None if self.sample.rtt_us is None else self.sample.rtt_us / 1000


class Prober:
    """The probe engine. It has no thread: watch fileno(), and call process() when it is readable or wait_ms() is over.

    paced: each target at its slots of the interval; else as fast as replies come home.
    probes_per_target: stop each target after so many; 0: no end.
    """

    def __init__(self, *, paced: bool = True, probes_per_target: int = 0):
        self._raw = lowlevel.RawProber(paced, probes_per_target)
        self._targets = {}
        self._last_id = 0

    def add(
        self,
        target: str,
        *,
        interval: float = 5.0,
        timeout: float = 3.0,
        size: int = 56,
        dscp: int = 0,
        ttl: int = 0,
        family: int = 0,
        dont_fragment: bool = False,
        source: str = "",
        interface: str = "",
    ) -> int:
        """Adds a target (address or host name), seconds and bytes; returns its id for remove().

        source, interface: an address of this host to send from, an interface to send by; empty: the routes decide.
        """
        number = self._last_id + 1
        self._raw.set_target(
            number, target, round(interval * 1000), round(timeout * 1000), size, dscp, ttl, family, dont_fragment,
            source, interface
        )
        self._last_id = number
        self._targets[number] = target
        return number

    def remove(self, number: int) -> None:
        self._raw.remove_target(number)
        del self._targets[number]

    def fileno(self) -> int:
        return self._raw.fileno()

    def wait_ms(self) -> int:
        """Milliseconds until process() wants to run; -1: only when fileno() is readable."""
        return self._raw.wait_ms()

    def process(self) -> List[Result]:
        """Sends and receives what is due, without blocking; the results that came of it."""
        results = []
        for number, sequence, slot_unix_us, rtt_us, outcome, flags, *rest in self._raw.process():
            sample = _sample((slot_unix_us, rtt_us, outcome, flags))
            results.append(Result(self._targets[number], sequence, sample, *rest))
        return results


def ping(
    targets: Union[str, Iterable[str]],
    count: int = 1,
    interval: float = 1.0,
    timeout: float = 3.0,
    *,
    size: int = 56,
    dscp: int = 0,
    ttl: int = 0,
    family: int = 0,
    dont_fragment: bool = False,
    source: str = "",
    interface: str = "",
) -> List[Result]:
    """Pings each target `count` times and returns a Result for each probe, in the order of their verdicts.

    interval: seconds between a target's probes, the targets spread over it; 0: as fast as replies come home.
    A single round (count=1) is sent at once. Needs CAP_NET_RAW, or net.ipv4.ping_group_range set for this group.
    """
    targets = [targets] if isinstance(targets, str) else list(targets)
    if count < 1:
        raise ValueError(f"count is {count}: at least 1 is needed")
    prober = Prober(paced=count > 1 and interval > 0, probes_per_target=count)
    for target in targets:
        prober.add(
            target,
            interval=interval or 1.0,
            timeout=timeout,
            size=size,
            dscp=dscp,
            ttl=ttl,
            family=family,
            dont_fragment=dont_fragment,
            source=source,
            interface=interface,
        )
    poll = select.poll()
    poll.register(prober.fileno(), select.POLLIN)
    results: List[Result] = []
    while len(results) < count * len(targets):
        wait_ms = prober.wait_ms()
        poll.poll(1000 if wait_ms < 0 else wait_ms)
        results += prober.process()
    return results


def encode_block(samples: Mapping[int, Iterable[Sample]]) -> bytes:
    """A sample block of {target_id: samples}."""
    builder = lowlevel.BlockBuilder()
    for target_id, run in samples.items():
        for sample in run:
            builder.add(target_id, sample.slot_unix_us, sample.rtt_us or 0, _outcome_code(sample.outcome), sample.flags)
    return builder.finish()


def decode_block(block: bytes) -> dict:
    """{target_id: [Sample, ...]}, ascending by target and by slot. Any bytes are safe: Error tells what is wrong."""
    return {target_id: [_sample(raw) for raw in run] for target_id, run in lowlevel.glue_block_decode(block).items()}


def encode_message(message: dict) -> str:
    """{"event": NAME, "data": {...}} as the text that goes over the wire. Error: the library would not send it."""
    return lowlevel.glue_message_normalise(json.dumps(message).encode())


def decode_message(text: Union[str, bytes]) -> dict:
    """A control message as the library understands it: checked, with defaults filled in, unknown fields dropped."""
    return json.loads(lowlevel.glue_message_normalise(text.encode() if isinstance(text, str) else text))


class Passphrase(NamedTuple):
    key: bytes
    host: str
    port: int
    pin: bytes


def encode_passphrase(key: bytes, host: str, port: int, pin: bytes) -> str:
    """ "MP1-XXXXXX-...": 16 bytes of key, the server's address, 16 bytes of the SHA-256 of its public key (SPKI)."""
    return lowlevel.glue_passphrase_encode(key, host, port, pin)


def decode_passphrase(text: str) -> Passphrase:
    """Error names the mistyped group where that can be found out."""
    return Passphrase(*lowlevel.glue_passphrase_decode(text))


class Gap(NamedTuple):
    """Sequences first to last will never come; the span of their slots, and why."""

    first: int
    last: int
    first_us: int
    last_us: int
    samples: int
    reason: str


class Buffer:
    """Blocks that nobody has acknowledged yet, bounded by time, bytes and count: what must go is told as a gap.

    Each block (encode_block) gets the next sequence, from 1, of this buffer's epoch.
    """

    def __init__(
        self,
        *,
        epoch: Optional[int] = None,
        max_age_s: float = 1800,
        max_bytes: int = 64 << 20,
        max_blocks: int = 100000,
    ):
        epoch = epoch or int.from_bytes(os.urandom(8), "big") or 1
        self._raw = lowlevel.RawBuffer(epoch, round(max_age_s * 1000), max_bytes, max_blocks)

    @property
    def epoch(self) -> int:
        return self._raw.epoch()

    def push(self, block: bytes) -> int:
        """Takes a block and returns its sequence. Error LIMIT: longer than max_bytes by itself."""
        return self._raw.push(block)

    def expire(self, now: float) -> None:
        """Drops what is older than max_age_s at the Unix time now."""
        self._raw.expire(round(now * 1e6))

    def blocks(self, first: int = 0) -> Iterator[Tuple[int, bytes]]:
        """The kept blocks from sequence `first` on, ascending; it may be changed meanwhile."""
        while (found := self._raw.find(first)) is not None:
            yield found
            first = found[0] + 1

    def ack(self, first: int, last: int) -> None:
        """The receiver has first to last for good: they are freed."""
        self._raw.ack(first, last)

    def reconcile(self, ranges: Sequence[Tuple[int, int]]) -> None:
        """The receiver's whole account: as ack, and what it had and has no more becomes a gap server_lost.

        Error STATE: it has a sequence that was never given; call renew.
        """
        self._raw.reconcile(list(ranges))

    def renew(self, epoch: Optional[int] = None) -> None:
        """Begins another epoch; what is kept gets sequences from 1 on."""
        self._raw.renew(epoch or int.from_bytes(os.urandom(8), "big") or 1)

    def gaps(self) -> List[Gap]:
        """What will never come and was not acknowledged yet, oldest first."""
        return [Gap(*raw) for raw in self._raw.gaps()]

    def stats(self) -> dict:
        """blocks, bytes, samples, dropped_samples (since the start), last_sequence, oldest_us."""
        return self._raw.stats()

    def __len__(self) -> int:
        return self.stats()["blocks"]


class Damage(NamedTuple):
    """Something stored that cannot be read: what lies between its first and last slot may be missing."""

    kind: str
    """ "block"; "rollups": 12 hours of some of an agent's targets; "page": what was there is not known."""
    id: int
    """Of the row in the database; of a page 0."""
    first_us: int
    last_us: int


_DAMAGE_KINDS = ("block", "rollups", "page")


class DamageWarning(UserWarning):
    """An answer had to leave out what is damaged in the database; Store.damaged has the times."""


class Store:
    """A server's database; read_only works beside a running meshpingd.

    What is damaged there stops no question: the rest is answered, `damaged` has what is missing, and DamageWarning is
    given.
    """

    damaged: List[Damage]
    """What the last call of samples, points, group, worst or last could not read."""

    def __init__(self, path: Union[str, os.PathLike], read_only: bool = True):
        self._raw = None
        self.damaged = []
        self._raw = lowlevel.RawStore(os.fspath(path), read_only)

    def agents(self) -> List[dict]:
        """All agents, oldest first: id (a number; 16 hex digits on the page), host_name, state, ..."""
        return self._open().agents()

    def targets(self) -> List[dict]:
        """The list of targets in its order: id, address, name, interval_ms, timeout_ms."""
        return self._open().targets()

    def samples(self, agent_id: int, target_id: int, from_us: int = 0, to_us: int = 2**62) -> List[Sample]:
        """A pair's samples with from_us <= slot < to_us, ascending, no slot twice."""
        samples, damaged = self._open().samples(agent_id, target_id, from_us, to_us)
        return [_sample(raw) for raw in self._told(samples, damaged)]

    def points(self, agent_id: int, target_id: int, from_us: int, to_us: int, max_points: int = 500) -> List[dict]:
        """Any length of a pair's time as at most max_points points: from_us, to_us, counts by outcome, sum_us, min_us,
        max_us, p50_us, p95_us, p99_us (of the replies; 0 when there are none). Nothing between them is left out."""
        return self._told(self._open().points(agent_id, target_id, from_us, to_us, max_points))

    def group(self, pairs: Sequence[Tuple[int, int]], from_us: int, to_us: int) -> dict:
        """All of a group of (agent id, target id), 0 for any, in a time: from_us and to_us (an end within an hour whose
        raw samples are gone is moved to the whole hour), counts, sum_us, min_us, max_us, percentiles_us."""
        return self._told(self._open().group(pairs, from_us, to_us))

    def worst(self, from_us: int, to_us: int, permille: int = 0, limit: int = 20) -> List[Tuple[int, int, dict]]:
        """The worst pairs, (agent id, target id, point), by loss or by the RTT that `permille` of 1000 replies keep."""
        return self._told(self._open().worst(permille, from_us, to_us, limit))

    def last(self, agent_id: int = 0, since_us: int = 0) -> List[Tuple[int, int, Sample]]:
        """The newest sample of every pair of an agent (0: of all), of those since a time."""
        found = self._told(self._open().last(agent_id, since_us))
        return [(agent, target, _sample(raw)) for agent, target, raw in found]

    def close(self) -> None:
        self._raw = None

    def _told(self, answer, damaged=None):
        damaged = self._open().damaged() if damaged is None else damaged
        self.damaged = [Damage(_DAMAGE_KINDS[kind], *rest) for kind, *rest in damaged]
        if damaged:
            warnings.warn(
                f"{len(damaged)} stored blocks or roll-ups are damaged and left out: see Store.damaged",
                DamageWarning,
                stacklevel=3,
            )
        return answer

    def _open(self):
        if self._raw is None:
            raise ValueError("the store is closed")
        return self._raw

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_) -> None:
        self.close()
