"""Two connections that do random legal things, with messages delivered in random order between the two directions.

Whatever they do: what arrives on a stream is what was sent, in order, exact, with FIN once; no count goes below zero,
nothing held exceeds the windows, every batch is whole frames and short enough; and when all is over nothing is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.errors import LocalProtocolError
from portico.protocol import Connection, Kind, Limits, ResetCode
from portico.protocol.events import Close, Data, Event, Head, Open, Reset
from portico.protocol.stream import ANSWERED, CLOSED

from .fake_link import REQUEST, FakeLink, split

SMALL = Limits(
    max_data=1024,
    stream_window=2048,
    max_stream_window=8192,
    link_window=64 * 1024,
    max_held=16 * 1024,
    max_streams=6,
    queue_high=4096,
    queue_low=1024,
)


@dataclass
class Half:
    """One direction of a stream: what one owner sent and what the other was told."""

    sent: list[tuple[bytes, bool]] = field(default_factory=list)
    """(message, text) of a WebSocket; of a body, its pieces."""
    sent_fin: bool = False
    got: list[tuple[bytes, bool]] = field(default_factory=list)
    part: bytes = b""
    got_fin: int = 0
    unconsumed: list[int] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(data for data, _ in self.sent)


@dataclass
class Story:
    """What both owners know of one stream."""

    kind: Kind
    up: Half = field(default_factory=Half)
    """From the hub, as a request goes."""
    down: Half = field(default_factory=Half)
    cut_short: bool = False
    """Reset or closed by somebody, so that not all needs to arrive."""
    closes: int = 0


class Play:
    """Random owners of both ends of a link."""

    def __init__(self, random: Random, limits: Limits = SMALL) -> None:
        self.random = random
        self.limits = limits
        self.link = FakeLink(limits)
        self.stories: dict[int, Story] = {}
        self.actions = [
            self.open, self.send, self.send, self.send, self.send, self.consume, self.consume, self.consume,
            self.deliver, self.deliver, self.deliver, self.deliver, self.write, self.write, self.answer, self.answer,
            self.finish, self.close, self.reset, self.forget, self.wait,
        ]  # fmt: skip

    def side(self) -> tuple[Connection, bool]:
        is_hub = self.random.random() < 0.5
        return (self.link.hub if is_hub else self.link.provider), is_hub

    def any_stream(self) -> int:
        newest = list(self.stories)[-8:]
        return self.random.choice(newest) if newest else 0

    # --- what owners do -------------------------------------------------------------------------------------

    def open(self) -> None:
        hub = self.link.hub
        if hub.can_open:
            kind = self.random.choice(list(Kind))
            fin = kind is Kind.HTTP and self.random.random() < 0.5
            stream_id = hub.open_stream(**(REQUEST | {"kind": kind, "fin": fin, "now": self.link.now}))
            story = self.stories[stream_id] = Story(kind)
            if fin:
                story.up.sent_fin = True

    def send(self) -> None:
        stream_id = self.any_stream()
        connection, is_hub = self.side()
        if stream_id:
            story = self.stories[stream_id]
            data = self.random.randbytes(self.random.choice([0, 1, 10, 1000, 5000]))
            text = self.random.random() < 0.3
            try:
                connection.send_data(
                    stream_id,
                    data,
                    text=text and story.kind is Kind.WEBSOCKET,
                    message_end=story.kind is Kind.WEBSOCKET,
                )
            except LocalProtocolError:
                return
            (story.up if is_hub else story.down).sent.append((data, text and story.kind is Kind.WEBSOCKET))

    def finish(self) -> None:
        stream_id = self.any_stream()
        connection, is_hub = self.side()
        try:
            connection.send_data(stream_id, b"end", fin=True)
        except LocalProtocolError:
            return
        half = self.stories[stream_id].up if is_hub else self.stories[stream_id].down
        half.sent.append((b"end", False))
        half.sent_fin = True

    def answer(self) -> None:
        stream_id = self.any_stream()
        if stream_id:
            accept = self.stories[stream_id].kind is Kind.WEBSOCKET and self.random.random() < 0.8
            fin = not accept and self.random.random() < 0.1
            try:
                self.link.provider.send_head(stream_id, 200, [(b"a", b"b")], accept=accept, fin=fin)
            except LocalProtocolError:
                return
            if fin:
                self.stories[stream_id].down.sent_fin = True

    def close(self) -> None:
        stream_id = self.any_stream()
        connection, _ = self.side()
        if self.random.random() < 0.3:
            try:
                connection.send_close(stream_id, 1000, "bye")
            except LocalProtocolError:
                return
            self.stories[stream_id].cut_short = True

    def reset(self) -> None:
        stream_id = self.any_stream()
        connection, _ = self.side()
        if stream_id and self.random.random() < 0.3:
            connection.send_reset(stream_id, ResetCode.CANCEL, "enough")
            self.stories[stream_id].cut_short = True

    def forget(self) -> None:
        """As an owner does at the end of its work, or too early."""
        stream_id = self.any_stream()
        connection, is_hub = self.side()
        if stream_id and self.random.random() < 0.3:
            story = self.stories[stream_id]
            if not (story.down.sent_fin and not is_hub):
                story.cut_short = True
            connection.forget(stream_id)
            (story.down if is_hub else story.up).unconsumed.clear()

    def consume(self) -> None:
        stream_id = self.any_stream()
        connection, is_hub = self.side()
        if stream_id:
            self.consume_some(
                (self.stories[stream_id].down if is_hub else self.stories[stream_id].up), connection, stream_id
            )

    def consume_some(self, half: Half, connection: Connection, stream_id: int) -> None:
        taken = self.random.randint(0, len(half.unconsumed))
        count = sum(half.unconsumed[:taken])
        del half.unconsumed[:taken]
        if taken:
            connection.consumed(stream_id, count, self.link.now)

    def wait(self) -> None:
        self.link.now += self.random.choice([0.001, 0.1, 1.0])

    # --- the link -------------------------------------------------------------------------------------------

    def write(self) -> None:
        connection, is_hub = self.side()
        message = connection.data_to_send()
        if message:
            assert len(message) <= self.limits.max_batch
            split(message)
            (self.link.down if is_hub else self.link.up).append(message)

    def deliver(self) -> None:
        if self.random.random() < 0.5:
            if self.link.up:
                self.told(self.link.deliver_up(), hub=True)
        elif self.link.down:
            self.told(self.link.deliver_down(), hub=False)

    def told(self, events: list[Event], *, hub: bool) -> None:
        for event in events:
            assert isinstance(event, Open | Head | Data | Close | Reset)
            story = self.stories[event.stream_id]
            half = story.down if hub else story.up
            if isinstance(event, Open):
                half.got_fin += event.fin
            elif isinstance(event, Head):
                assert hub
                half.got_fin += event.fin
            elif isinstance(event, Data):
                assert not half.got_fin, "nothing comes after FIN"
                half.got_fin += event.fin
                half.unconsumed.append(len(event.data))
                if story.kind is Kind.HTTP or not event.message_end:
                    half.part += event.data
                else:
                    half.got.append((half.part + event.data, event.text))
                    half.part = b""
            elif isinstance(event, Close):
                story.closes += 1
            else:
                # a response that was whole before its upload stops the upload, and that alone
                if not (event.code is ResetCode.NO_ERROR and half.got_fin):
                    assert story.cut_short or event.code is ResetCode.REFUSED
                    story.cut_short = True

    # --- what must hold -------------------------------------------------------------------------------------

    def check(self) -> None:
        for connection in (self.link.hub, self.link.provider):
            streams = connection._streams
            assert connection.held == sum(stream.receive.held for stream in streams.by_id.values())
            assert connection._outbox.link_credit >= 0
            assert connection._receiver._link_credit >= 0
            grown = 0
            for stream in streams.by_id.values():
                assert stream.send_credit >= 0
                window = stream.receive
                assert window.credit >= 0
                assert window.overhead >= 0
                assert 0 <= window.held <= window.size <= self.limits.max_stream_window
                if stream.state not in (ANSWERED, CLOSED):  # no credit goes back for what nobody reads
                    assert window.held + window.overhead + window.owed + window.credit == window.size + window.lent
                assert stream.queued == sum(len(item) for item, flags in stream.queue)
                grown += window.size - self.limits.stream_window
            assert streams.growth_left == self.limits.max_held - grown >= 0

    def check_told(self) -> None:
        for story in self.stories.values():
            for half in (story.up, story.down):
                assert half.got_fin <= 1
                if story.kind is Kind.HTTP or half.got_fin:
                    body = b"".join(data for data, _ in half.got) + half.part
                    assert half.body.startswith(body)
                    if half.got_fin:
                        assert body == half.body
                else:
                    assert half.got == half.sent[: len(half.got)] or self.denied(story, half)

    def denied(self, story: Story, half: Half) -> bool:
        """Whether it is a denial's body, whose pieces are no messages."""
        return half is story.down and half.body.startswith(b"".join(data for data, _ in half.got) + half.part)

    def settle(self) -> None:
        """Let the rest arrive, with owners that read all."""
        for _ in range(200_000):
            self.link.write()
            if not self.link.up and not self.link.down:
                if not self.consume_all():
                    return
                continue
            while self.link.up:
                self.told(self.link.deliver_up(), hub=True)
            while self.link.down:
                self.told(self.link.deliver_down(), hub=False)
            self.consume_all()
            self.check()
        raise AssertionError("the link does not come to rest")

    def consume_all(self) -> bool:
        did = False
        for stream_id, story in self.stories.items():
            for half, connection in ((story.down, self.link.hub), (story.up, self.link.provider)):
                if half.unconsumed:
                    connection.consumed(stream_id, sum(half.unconsumed), self.link.now)
                    half.unconsumed.clear()
                    did = True
        return did


@pytest.mark.parametrize("shape", ["any", "no ends"])
@settings(max_examples=600)
@given(seed=st.integers(0, 2**32), steps=st.integers(100, 1500))
def test_what_is_sent_arrives_and_nothing_is_left(shape: str, seed: int, steps: int) -> None:
    play = Play(Random(seed))
    if shape == "no ends":
        for end in (play.close, play.reset, play.forget):
            play.actions.remove(end)
    for _ in range(steps):
        play.random.choice(play.actions)()
        play.check()
    play.settle()
    play.check_told()
    for stream_id, story in play.stories.items():
        if not story.cut_short:
            for half in (story.up, story.down):
                if half is story.up and story.down.sent_fin:
                    continue  # an upload may be stopped by a whole answer
                assert half.got_fin == half.sent_fin
                if story.kind is Kind.HTTP:
                    assert half.part == half.body
                elif half is story.up:
                    assert half.got == half.sent
                else:
                    assert b"".join(data for data, _ in half.got) + half.part == half.body
        story.cut_short = True
        play.link.hub.send_reset(stream_id, ResetCode.CANCEL)
    play.settle()
    for stream_id in play.stories:
        play.link.hub.forget(stream_id)
        play.link.provider.forget(stream_id)
    play.settle()
    for connection, other in ((play.link.hub, play.link.provider), (play.link.provider, play.link.hub)):
        assert connection.streams == 0
        assert connection.held == 0
        assert connection._streams.growth_left == SMALL.max_held
        assert not connection.has_output
        assert not connection._outbox._starved
        assert other._outbox.link_credit + connection._receiver._link_owed == SMALL.link_window


@settings(max_examples=30)
@given(chunks=st.lists(st.binary(max_size=9000), max_size=12), kind=st.sampled_from(Kind), read=st.integers(1, 5000))
def test_a_slow_reader_gets_every_byte_once(chunks: list[bytes], kind: Kind, read: int) -> None:
    link = FakeLink(SMALL)
    stream_id = link.open(kind)
    link.provider.send_head(stream_id, 200, [], accept=kind is Kind.WEBSOCKET)
    for chunk in chunks:
        link.provider.send_data(stream_id, chunk, message_end=kind is Kind.WEBSOCKET)
    if kind is Kind.HTTP:
        link.provider.send_data(stream_id, b"", fin=True)
    else:
        link.provider.send_close(stream_id, 1001, "done")
    got: list[bytes] = []
    ends = 0
    unread = 0
    for _ in range(200_000):
        link.write()
        events = [event for message in list(link.up) for event in link.hub.receive_message(message, link.now)]
        link.up.clear()
        while link.down:
            link.deliver_down()
        for event in events:
            if isinstance(event, Data):
                got.append(event.data)
                unread += len(event.data)
                ends += event.fin
            ends += isinstance(event, Close)
        assert unread <= SMALL.max_stream_window
        count = min(read, unread)
        link.hub.consumed(stream_id, count, link.now)
        unread -= count
        if not events and not unread and not link.up and not link.provider.has_output:
            break
    assert b"".join(got) == b"".join(chunks)
    assert ends == 1
    assert link.hub.streams == 0
