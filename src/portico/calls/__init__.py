"""How user code is run for a request: whatever its shape, whatever it raises, and when its visitor leaves.

The call:

- `run`: calls a function of any shape, and hands each item that it gives to a sink.
- `pump`: the thread on which a synchronous function runs.
- `iterating`: what counts as iterable, and how an iterator is closed.
- `endings`: what an exception that left user code means.

The request:

- `exchange`: one HTTP request, its answer, and the visitor who leaves.
- `cors`: which other sites' pages may read it.
- `body`: reads what was sent. `content_coding`: decompresses it. `held`: bounds how much of all bodies is held.
- `callers`: who calls, for what belongs to or counts for somebody.
- `sse`: streams an answer, and knows every way in which it ends. `json_text`: writes JSON.

The author of the code:

- `log`: keeps what went wrong, for the author alone.
- `owner`: whose code runs. `owner_in_threads`: the same in threads that the code makes.
- `other_loop`: explains a failure that comes of two event loops.

The ground:

- `loops`: keeps an event loop going whatever is raised on it.
- `workers`: a bounded pool of threads for synchronous code. `in_thread`: blocking work of Portico's own.

Dialogues, which are calls that ask their caller back:

- `dialogues`: starts them and bounds how many there are. `dialogue_limits`: what they may take.
- `dialogue`: one of them, as server code sees it: read, answer, cancel. `asker`: the same as its own code sees it.
- `question`: one question, from asked to settled. `open_questions`: those that wait for an answer.
- `transcript`: the messages so far. `dialogue_readers`: who reads them, each at a pace of its own.
- `dialogue_runners`: where its synchronous code runs. `waiting`: how that waits. `shared_threads`: a few threads for
  much code that waits.

Not here: which function is called and with what, what its items mean, and how an error looks to the visitor. That is
decided by the room whose function it is.
"""
