"""How user code is run for a request: whatever it is, whatever it raises, and whoever leaves.

The call: `run` calls a function, of any shape, and hands what it gives to a sink; `pump` is the thread of a synchronous
one; `iterating` says what is iterated, and closes it. `endings` says what an exception that left user code means.

The request: `exchange` is one over HTTP, its answer, and the visitor who leaves; `body` reads what was sent
(`content_coding` decodes it); `json_text` writes JSON; `sse` streams an answer, and knows every way in which it ends.

The author: `owner` says whose code runs, `threads` carries that into threads that the code makes, and `log` keeps what
went wrong for its author; `other_loop` explains a failure of two loops. The ground: `loops` keeps an event loop going
whatever the code on it raises; `workers` are threads for synchronous code.

A call that asks back: `dialogues` starts it, `dialogue` is the end that answers, `asker` the end that asks, with
`transcript`, `question`, `questions`, `reading` and `dialogue_limits`; `waiting` is how synchronous code waits, `ways`
and `shared_threads` on what it runs.

Not here: which function is called and with what, what its items mean, and how an error looks to the visitor: that is
for the room whose function it is.
"""
