// What the JavaScript client of OpenAI gets from the server at $URL with the key $KEY, as one JSON document.
const { OpenAI } = require('openai');

async function main() {
  let requests = 0;
  const counted = (...given) => { requests += 1; return fetch(...given); };
  const client = new OpenAI({ apiKey: process.env.KEY, baseURL: process.env.URL, fetch: counted });
  const messages = [{ role: 'user', content: 'hi' }];
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }];
  const whole = await client.chat.completions.create({ model: 'dead,m', messages });
  let streamed = '';
  for await (const chunk of await client.chat.completions.create({ model: 'dead,m', messages, stream: true })) {
    streamed += chunk.choices[0]?.delta?.content ?? '';
  }
  const called = await client.chat.completions.stream({ model: 'dead,tool', messages, tools }).finalChatCompletion();
  const vectors = await client.embeddings.create({ model: 'm', input: ['a', 'b'] });
  const error = await client.chat.completions.create({ model: 'dead', messages }).catch((failed) => failed);
  console.log(JSON.stringify({
    whole: whole.choices[0].message.content, streamed, call: called.choices[0].message.tool_calls[0].function,
    vectors: vectors.data.map((one) => one.embedding.length), error: [error.constructor.name, error.status], requests,
  }));
}

main();
