// The AI SDK, with its provider for OpenAI-compatible servers.
import assert from 'node:assert/strict'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'

const provider = createOpenAICompatible({
  name: 'portico',
  baseURL: process.env.BASE_URL,
  apiKey: process.env.API_KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
})
const model = provider('assistant')
const getWeather = tool({
  description: 'The weather in a city.',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny, says ${city},`,
})

assert.equal((await generateText({ model, prompt: 'Hello' })).text, 'Hello from a notebook')
console.log('chat')

const streamed = streamText({ model, prompt: 'Hello' })
const pieces = []
for await (const piece of streamed.textStream) pieces.push(piece)
assert.deepEqual(pieces, ['Hello', ' from', ' a', ' notebook'])
assert.ok((await streamed.usage).totalTokens > 0)
console.log('streaming')

const thought = await generateText({ model: provider('org/thinker:1'), prompt: 'Hello' })
assert.deepEqual([thought.reasoningText, thought.text], ['A greeting.', 'Hello'])
console.log('reasoning')

const settings = { model, prompt: 'Weather?', tools: { get_weather: getWeather }, stopWhen: stepCountIs(3) }
assert.equal((await generateText(settings)).text, 'It is sunny, says Bern, in Bern.')
assert.equal(await streamText(settings).text, 'It is sunny, says Bern, in Bern.')
console.log('tools')

const Cat = z.object({ name: z.string(), lives: z.number() })
const cat = await generateText({ model, prompt: 'A cat', output: Output.object({ schema: Cat }) })
assert.deepEqual(cat.output, { name: 'Tom', lives: 9 })
console.log('structured output')

const { embeddings } = await embedMany({ model: provider.embeddingModel('lengths'), values: ['a', 'four'] })
assert.deepEqual(embeddings, [[1, 1], [4, 1]])
console.log('embeddings')
