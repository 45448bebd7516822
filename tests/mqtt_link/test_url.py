"""The broker's address as a person writes it."""

from __future__ import annotations

import pytest

from mqtt_link import BadUrlError, BrokerUrl

URLS = [
    # url, host, port, tls, username, password
    ("mqtt://broker.example", "broker.example", 1883, False, None, None),
    ("mqtts://broker.example", "broker.example", 8883, True, None, None),
    ("mqtt://10.0.0.1:2883/", "10.0.0.1", 2883, False, None, None),
    ("mqtt://[::1]:1883", "::1", 1883, False, None, None),
    ("mqtts://shop%40a:p%3Aw@b:1", "b", 1, True, "shop@a", "p:w"),
]


@pytest.mark.parametrize(("url", "host", "port", "tls", "username", "password"), URLS)
def test_an_address_is_taken_apart_and_its_text_is_safe_to_log(url, host, port, tls, username, password) -> None:  # noqa: PLR0917  # one column each
    found = BrokerUrl.parse(url)
    assert (found.host, found.port, found.tls, found.username, found.password) == (host, port, tls, username, password)
    assert BrokerUrl.parse(str(found)).host == host
    for text in (str(found), repr(found)):
        assert "p:w" not in text
        assert "p%3A" not in text


@pytest.mark.parametrize(
    "url",
    [
        "http://host:1883",  # another scheme
        "mqtt://",  # no host
        "host:1883",  # no scheme
        "mqtt://host:port",  # no number
        "mqtt://host:99999",  # no port
        "mqtt://host/topic",  # a path
        "mqtt://user:hunter2@[::1",  # no URL at all
        "mqtt://user:hunter2@host?x=1",  # a query
    ],
)
def test_a_wrong_address_is_refused_without_repeating_it(url) -> None:
    with pytest.raises(BadUrlError) as caught:
        BrokerUrl.parse(url)
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).startswith("cloud.url: ")
