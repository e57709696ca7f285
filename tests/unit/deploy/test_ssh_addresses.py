"""Addresses and command strings of the SSH link."""

from __future__ import annotations

import os
import subprocess

import pytest

from edgecompress.core.errors import UsageError
from edgecompress.deploy._ssh_command import command
from edgecompress.deploy._ssh_endpoint import HINT, Address, Endpoint, parse_address

ADDRESSES = {
    "pi": Address(user=None, host="pi", port=None),
    "pi@board": Address(user="pi", host="board", port=None),
    "pi@board:2222/": Address(user="pi", host="board", port=2222),
    "a@b@board": Address(user="a@b", host="board", port=None),
    "board/~/models": Address(user=None, host="board", port=None, folder="models"),
    "board/~": Address(user=None, host="board", port=None),
    "board/srv/models/": Address(user=None, host="board", port=None, folder="/srv/models"),
    "board/srv/a%20b?c#d": Address(user=None, host="board", port=None, folder="/srv/a b?c#d"),
    "[::1]": Address(user=None, host="::1", port=None),
    "pi@[fe80::1]:2222/~/x": Address(user="pi", host="fe80::1", port=2222, folder="x"),
    "fe80::1": Address(user=None, host="fe80::1", port=None),
}
REFUSED = {
    "": "ssh:// names no host",
    "pi@": "ssh://pi@ names no host",
    "@board": "ssh://@board names no user",
    "/~/models": "ssh:///~/models names no host",
    "board:ssh": "ssh://board:ssh: 'ssh' is no port; a port is 1 to 65535",
    "board:0": "ssh://board:0: '0' is no port; a port is 1 to 65535",
    "board:65536": "ssh://board:65536: '65536' is no port; a port is 1 to 65535",
    "[::1]22": "ssh://[::1]22: '22' cannot follow the host",
    "board/a%00b": "ssh://board/a%00b: a folder's name cannot hold a zero byte",
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_is_read_into_its_parts(text: str) -> None:
    assert parse_address(text) == ADDRESSES[text]


@pytest.mark.parametrize("text", REFUSED)
def test_a_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert (caught.value.message, caught.value.hint) == (REFUSED[text], HINT)


def test_an_endpoint_says_how_it_is_called() -> None:
    endpoint = Endpoint(host="Board", user="pi", known_hosts=())
    assert (endpoint.shown, endpoint.url, endpoint.known_as) == ("pi@Board", "ssh://pi@Board", "board")
    endpoint = Endpoint(host="::1", port=2222, user="pi", known_hosts=())
    assert (endpoint.shown, endpoint.url) == ("pi@[::1]:2222", "ssh://pi@[::1]:2222")
    endpoint = Endpoint(host="10.0.0.7", port=2222, user="pi", known_hosts=(), alias="kitchen", key_name="pi-4")
    assert (endpoint.url, endpoint.known_as) == ("ssh://pi@kitchen:2222", "pi-4")


def test_a_shell_reads_every_byte_of_a_word_as_itself() -> None:
    every_byte = bytes(range(1, 256))
    words = [b"", b"\n", b"a\n\n", every_byte, b"$(id)`id`'\"\\!"]
    done = subprocess.run(["/bin/sh", "-c", command(["printf", "%s.", *words])], capture_output=True, check=True)
    assert done.stdout == b"".join(word + b"." for word in words)


def test_a_command_string_holds_nothing_that_shells_disagree_on() -> None:
    """fish reads a backslash before a quote in single quotes, csh reads `!` and ends strings at a newline."""
    string = command([os.fsencode("a'b!c\n")])
    assert string.isascii()
    assert not {"!", "\n"} & set(string)
    assert "\\'" not in string
    assert "\\\\" not in string
