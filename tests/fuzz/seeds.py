"""What the fuzzing begins with: for each target some texts that are right, after the byte that it picks by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_EVENT = b"""[{"transaction_id": "a", "customer_id": "c", "event_type": "call", "timestamp": "2026-03-28T10:00:00Z",
"properties": {"bytes": 10.50, "region": "eu", "ok": true, "list": ["x", 1e3]}}]"""
_MAIL = b"""From: cron <root@web-1>
Subject: =?utf-8?b?w6Q=?=
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/html; charset=latin-1
Content-Transfer-Encoding: base64

PGI+eDwvYj4=
--b--
""".replace(b"\n", b"\r\n")
_MANIFEST = b"""\x02apiVersion: batch/v1
kind: CronJob
metadata: {name: x}
spec: {schedule: '*/5 * * * *', timeZone: Etc/UTC}
"""
_UNIT = b"""\x04[Timer]
OnCalendar=daily
RandomizedDelaySec=1h
Unit=x.service
[Service]
ExecStart=/bin/true
"""
_LINE = b'203.0.113.9 - - [28/Mar/2026:10:00:00 +0100] "GET /v1/orders/17 HTTP/1.1" 200 512 "-" "curl"'

SEEDS: Mapping[str, Sequence[bytes]] = {
    "cron": (b"\x0030 2 * * *", b"\x01*/5 0-6,22-23 1,15 jan-mar mon#2", b"\x020 0 L * 5L", b"\x03@daily"),
    "oncalendar": (b"\x01Mon..Fri *-*-* 09:00", b"\x02*-02~03 02:30:00 Europe/Berlin\n11:30", b"\x03hourly"),
    "ping_path": (
        b"/ping/3f0f8f9e-6a1c-4a55-8d4c-2222222222ff/start?rid=1",
        b"/0123456789abcdefABCDEF/nightly/7?create=1",
    ),
    "events": (_EVENT, b'rows=10 took: 5.2\n{"rows": 3, "deep": {"n": 1}}', b'{"rows": 3, "deep": {"n": 1e400}}'),
    "quantity": (b"12345678901234567890.000000001", b"-0.10", b"1e30", b"5%"),
    "template": (
        b'\x00{"text": "$NAME is $STATUS", "all": $JSON, "n": $EXITSTATUS_JSON}',
        b"\x01name=$NAME&tag=$TAG1",
    ),
    "mails": (_MAIL, b"Subject: OK\n\nall is well"),
    "imports": (
        b"\x00CRON_TZ=Europe/Berlin\n30 2 * * 1-5 /opt/x.sh%a\n@reboot y",
        b"\x01SHELL=/bin/sh\n17 * * * * root cd / && run-parts /etc/cron.hourly",
        _MANIFEST,
        b"\x03on:\n  schedule:\n    - cron: '0 3 * * 1'\njobs: {a: {runs-on: x}}",
        _UNIT,
        b"\x05" + _LINE,
        b'\x06$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "-" "$http_user_agent"\n' + _LINE,
        b"\x07/v1/orders/123/items/3f0f8f9e-6a1c-4a55-8d4c-2222222222ff",
    ),
}
