// OpenAI's JavaScript SDK.
import assert from 'node:assert/strict'
import OpenAI from 'openai'
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod'
import { ResponsesWS } from 'openai/resources/responses/ws'
import { z } from 'zod'

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY })
const messages = [{ role: 'user', content: 'Hello' }]
const weather = {
  name: 'get_weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
}
const Cat = z.object({ name: z.string(), lives: z.number() })

const listed = []
for await (const model of client.models.list()) listed.push(model.id)
assert.deepEqual(listed, ['assistant', 'org/thinker:1', 'slow', 'lengths'])
assert.equal((await client.models.retrieve('org/thinker:1')).id, 'org/thinker:1')
console.log('models')

const whole = await client.chat.completions.create({ model: 'assistant', messages })
assert.equal(whole.choices[0].message.content, 'Hello from a notebook')
console.log('chat')

const stream = await client.chat.completions.create({ model: 'assistant', messages, stream: true })
const pieces = []
for await (const chunk of stream) if (chunk.choices[0].delta.content) pieces.push(chunk.choices[0].delta.content)
assert.deepEqual(pieces, ['Hello', ' from', ' a', ' notebook'])
console.log('streaming')

const runner = client.chat.completions.runTools({
  model: 'assistant',
  messages,
  stream: true,
  tools: [
    {
      type: 'function',
      function: { ...weather, parse: JSON.parse, function: ({ city }) => `sunny, says ${city},` },
    },
  ],
})
assert.equal(await runner.finalContent(), 'It is sunny, says Bern, in Bern.')
console.log('tools')

const parsed = await client.chat.completions.parse({
  model: 'assistant',
  messages,
  response_format: zodResponseFormat(Cat, 'cat'),
})
assert.deepEqual(parsed.choices[0].message.parsed, { name: 'Tom', lives: 9 })
console.log('structured output')

const vectors = await client.embeddings.create({ model: 'lengths', input: ['a', 'four'] })
assert.deepEqual(vectors.data.map((one) => one.embedding), [[1, 1], [4, 1]])
console.log('embeddings')

const answer = await client.responses.create({ model: 'assistant', input: 'Hello' })
assert.equal(answer.output_text, 'Hello from a notebook')
const cat = await client.responses.parse({ model: 'assistant', input: 'A cat', text: { format: zodTextFormat(Cat, 'cat') } })
assert.deepEqual(cat.output_parsed, { name: 'Tom', lives: 9 })
console.log('responses')

const events = client.responses.stream({ model: 'org/thinker:1', input: 'Hello', previous_response_id: answer.id })
const types = []
for await (const event of events) types.push(event.type)
assert.equal(types[0], 'response.created')
assert.equal(types.at(-1), 'response.completed')
assert.equal((await events.finalResponse()).output_text, 'Hello')
console.log('streamed responses')

const socket = new ResponsesWS(client)
const completed = new Promise((resolve, reject) => {
  socket.on('response.completed', (event) => resolve(event.response))
  socket.on('error', reject)
})
socket.send({ type: 'response.create', model: 'assistant', input: 'Hello' })
assert.equal((await completed).output[0].content[0].text, 'Hello from a notebook')
socket.close()
console.log('responses over a WebSocket')

await assert.rejects(
  client.chat.completions.create({ model: 'nobody', messages }),
  (error) => error.status === 404 && error.code === 'model_not_found',
)
console.log('errors')

const endless = await client.chat.completions.create({ model: 'slow', messages, stream: true })
for await (const chunk of endless) if (chunk.choices[0].delta.content) endless.controller.abort()
console.log('stopping')
