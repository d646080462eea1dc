// Searches as a program with opensearch-js does, sniffing first, and prints the ids that were found.
const { Client } = require('@opensearch-project/opensearch');

async function main([url, index, body]) {
  const client = new Client({ node: url, sniffOnStart: true, compression: 'gzip' });
  await new Promise((sniffed) => client.on('sniff', sniffed));
  for (let turn = 0; turn < 3; turn += 1) {
    const answer = await client.search({ index, body: JSON.parse(body) });
    const ids = answer.body.hits.hits.map((hit) => hit._id);
    console.log(...ids, answer.headers['x-rerank-status']);
  }
  console.log(client.connectionPool.connections.map((connection) => connection.url.host).join(' '));
  await client.close();
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
