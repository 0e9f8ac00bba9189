"""The settings of the embedded Postgres, where nobody gives others."""

import contextlib
import os
import shutil
from pathlib import Path


def settings(root: Path) -> dict[str, str]:
    """By this machine's memory, and by what is free where the data is."""
    megabyte = 1 << 20
    memory, free = _memory_bytes() // megabyte, shutil.disk_usage(root).free // megabyte
    wal = min(max(free // 8, 256), 4096)
    return {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "shared_buffers": f"{min(max(memory // 8, 32), 512)}MB",
        "effective_cache_size": f"{max(memory // 2, 64)}MB",
        "max_connections": "200",
        "max_wal_size": f"{wal}MB",
        # Segments of the log that are there are used again: while one is made all commits wait, for up to 0.1 s.
        "min_wal_size": f"{wal // 4}MB",
        "checkpoint_timeout": "15min",
        "autovacuum_naptime": "10s",
        "jit": "off",
        "client_connection_check_interval": "2s",  # or a dead client's long query would hold up the next start
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "log_line_prefix": "%m [%p] ",
        "log_checkpoints": "off",
    }


def _memory_bytes() -> int:
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes":
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int(Path(limit).read_text()))
    return min(sizes)
