"""Where a node takes events."""

import ipaddress
import socket
from pathlib import Path

import pytest

from v7_task_processor.errors import ConfigurationError
from v7_task_processor.settings import Settings
from v7_task_processor.worker.address import listen, netloc


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize(
    ("host", "clients"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("localhost", ["127.0.0.1"]),
        pytest.param("::1", ["::1"], marks=needs_ipv6),
        pytest.param("::", ["::1", "127.0.0.1"], marks=needs_ipv6),
        pytest.param("0::0", ["::1", "127.0.0.1"], marks=needs_ipv6),
    ],
)
def test_who_reaches_it(host: str, clients: list[str]) -> None:
    with listen(Settings(host=host, port=0)) as listener:
        for client in clients:
            socket.create_connection((client, listener.getsockname()[1]), timeout=5).close()


def test_an_address_of_one_link_alone_is_taken_with_its_zone() -> None:
    try:
        interfaces = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        pytest.skip("this machine has no IPv6, or is no Linux")
    own = [line.split() for line in interfaces if line.startswith("fe80")]
    # Those of containers come and go with the tests beside this one; others may not be ready yet (IFA_F_TENTATIVE).
    lasting = [
        each for each in own if not each[5].startswith(("veth", "br-", "docker")) and not int(each[4], 16) & 0x48
    ]
    if not lasting:
        pytest.skip("no interface here has an address of its link")
    address, _, _, _, _, name = lasting[0]
    with listen(Settings(host=f"{ipaddress.IPv6Address(int(address, 16))}%{name}", port=0)) as listener:
        assert listener.getsockname()[3] == socket.if_nametoindex(name)


NOWHERE = ["999.1.1.1", "192.0.2.1", "2001:db8::1", "fe80::1", "::ffff:192.0.2.1", "a..b", "no.such.name.invalid"]


@pytest.mark.parametrize("host", NOWHERE)
def test_a_host_that_is_none_of_this_machine_is_named(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^Cannot listen on .*{host}.*:4007: .* HOST must be an address"):
        listen(Settings(host=host, port=4007))


def test_a_port_that_is_taken_is_named() -> None:
    with listen(Settings(port=0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=f"^Cannot listen on 127.0.0.1:{port}: .* choose another with --port"
        ):
            listen(Settings(port=port))


def test_as_it_stands_in_a_url() -> None:
    assert (netloc("::1", 80), netloc("v7.example", 80)) == ("[::1]:80", "v7.example:80")
    assert netloc("[::1]", 80) == "[::1]:80"
