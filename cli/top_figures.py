"""The figures of `exchange top`: what an exchange did between two readings of its metrics."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

_SAMPLE = re.compile(r'(\w+)(?:\{(?:\w+="([^"]*)",)?(?:\w+="([^"]*)")\})?')

# By name with labels; None: infinite.
Samples = Mapping[str, float | None]


class Reading(msgspec.Struct, frozen=True):
    """The metrics of an exchange, as `admin/get_metrics` answers, and when they were read on the steady clock."""

    read_seconds: float
    ts_us: int
    metrics: dict[str, float | None]


class MethodFigures(msgspec.Struct, frozen=True):
    """The requests of one method. Latencies are null if none was answered."""

    method: str
    per_second: float
    p50_ms: float | None
    p99_ms: float | None


class TopFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one interval: rates and latencies are those of the interval, the others are those of its end.

    A latency is null if nothing was measured. `cpu` is the share of one core. `refusals` are per second, by reason.
    """

    ts_us: int
    seq: int
    ready: bool
    alarm: bool
    journal_unavailable: bool
    clock_jump_seconds: float
    interval_seconds: float
    commands_per_second: float
    requests_per_second: float
    refusals_per_second: float
    p50_ms: float | None
    p99_ms: float | None
    commit_p50_ms: float | None
    commit_p99_ms: float | None
    batch_commands: float | None
    connections: int
    queue: int
    unanswered: int
    outbox_bytes: int
    history_lag: int
    snapshot_age_seconds: float | None
    disk_free_bytes: int
    disk_full_seconds: float | None
    wal_bytes: int
    oldest_reader_seconds: float
    memory_bytes: int | None
    cpu: float | None
    refusals: dict[str, float]
    methods: list[MethodFigures]


def figures_between(before: Reading, after: Reading) -> TopFigures:
    """The figures of the interval between two readings of the same run of an exchange."""
    seconds = max(after.read_seconds - before.read_seconds, 1e-6)
    now, grown = after.metrics, _growth(before.metrics, after.metrics)
    by_method = _distributions(grown, "exchange_request_seconds")
    requests = _sum(by_method.values())
    commits = _sum(_distributions(grown, "exchange_append_seconds").values())
    batches = _total(commits)
    refusals = {reason: count / seconds for reason, count in _by_label(grown, "exchange_refusals_total") if count}
    cpu = grown.get("process_cpu_seconds_total")
    memory = now.get("process_resident_memory_bytes")
    return TopFigures(
        ts_us=after.ts_us,
        seq=_whole(now, "exchange_journal_seq"),
        ready=bool(now["exchange_ready"]),
        alarm=bool(now["exchange_follower_alarm"]),
        journal_unavailable=bool(now["exchange_journal_unavailable"]),
        clock_jump_seconds=now["exchange_clock_jump_seconds"] or 0.0,
        interval_seconds=seconds,
        commands_per_second=grown["exchange_journal_seq"] / seconds,
        requests_per_second=_total(requests) / seconds,
        refusals_per_second=sum(refusals.values()),
        p50_ms=_quantile_ms(requests, 0.5),
        p99_ms=_quantile_ms(requests, 0.99),
        commit_p50_ms=_quantile_ms(commits, 0.5),
        commit_p99_ms=_quantile_ms(commits, 0.99),
        batch_commands=grown["exchange_batch_commands_sum"] / batches if batches else None,
        connections=_whole(now, "exchange_connected_clients"),
        queue=_whole(now, "exchange_queue_commands"),
        unanswered=_whole(now, "exchange_unanswered_requests"),
        outbox_bytes=_whole(now, "exchange_outbox_bytes"),
        history_lag=_whole(now, "exchange_history_lag_commands"),
        snapshot_age_seconds=now.get("exchange_snapshot_age_seconds"),
        disk_free_bytes=_whole(now, "exchange_disk_free_bytes"),
        disk_full_seconds=now.get("exchange_disk_full_seconds"),
        wal_bytes=_whole(now, "exchange_wal_bytes"),
        oldest_reader_seconds=now["exchange_oldest_reader_seconds"] or 0.0,
        memory_bytes=None if memory is None else int(memory),
        cpu=None if cpu is None else cpu / seconds,
        refusals=dict(sorted(refusals.items(), key=lambda item: -item[1])),
        methods=sorted(_methods(by_method, seconds), key=lambda one: (-one.per_second, one.method)),
    )


# The numbers of values up to each bound, in the order of the bounds.
_Buckets = dict[float, float]


def _growth(before: Samples, after: Samples) -> dict[str, float]:
    return {name: (value or 0.0) - (before.get(name) or 0.0) for name, value in after.items()}


def _distributions(samples: Mapping[str, float], metric: str) -> dict[str, _Buckets]:
    """The buckets of a histogram by the value of its label; the label of a histogram without one is empty."""
    found: dict[str, _Buckets] = {}
    for name, value in samples.items():
        match = _SAMPLE.fullmatch(name)
        if match is not None and match[1] == f"{metric}_bucket":
            found.setdefault(match[2] or "", {})[float(match[3])] = value
    return found


def _by_label(samples: Mapping[str, float], metric: str) -> Iterator[tuple[str, float]]:
    for name, value in samples.items():
        match = _SAMPLE.fullmatch(name)
        if match is not None and match[1] == metric:
            yield match[3], value


def _sum(distributions: Iterable[_Buckets]) -> _Buckets:
    total: _Buckets = {}
    for buckets in distributions:
        for bound, count in buckets.items():
            total[bound] = total.get(bound, 0.0) + count
    return total


def _total(buckets: _Buckets) -> float:
    return buckets.get(math.inf, 0.0)


def _quantile_ms(buckets: _Buckets, share: float) -> float | None:
    """The value that this share of the values does not exceed, in milliseconds; None without values.

    As Prometheus, it takes the values of a bucket as evenly spread. Above the last bound it is that bound.
    """
    rank, below, lower = share * _total(buckets), 0.0, 0.0
    for bound in sorted(buckets) if rank else ():
        if buckets[bound] >= rank:
            if math.isinf(bound):
                return 1_000 * lower
            return round(1_000 * (lower + (bound - lower) * (rank - below) / (buckets[bound] - below)), 3)
        below, lower = buckets[bound], bound
    return None


def _methods(by_method: Mapping[str, _Buckets], seconds: float) -> Iterator[MethodFigures]:
    for method, buckets in by_method.items():
        if _total(buckets):
            latencies = _quantile_ms(buckets, 0.5), _quantile_ms(buckets, 0.99)
            yield MethodFigures(method, _total(buckets) / seconds, *latencies)


def _whole(samples: Samples, name: str) -> int:
    return int(samples[name] or 0)
