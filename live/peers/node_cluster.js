// Node.js's own cluster, serving the lab's work: GET /work?cpu_ms=5&wait_ms=20
//   node node_cluster.js WORKERS rr|none [PORT]
'use strict';
const cluster = require('node:cluster');
const fs = require('node:fs');
const http = require('node:http');
const [workers, scheduling, port] = process.argv.slice(2);

if (cluster.isPrimary) {
  cluster.schedulingPolicy = scheduling === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR;
  let listening = 0;
  cluster.on('listening', (worker, address) => {
    listening += 1;
    if (listening === Number(workers)) {
      const pids = Object.values(cluster.workers).map((w) => w.process.pid);
      console.log(JSON.stringify({ event: 'listening', port: address.port, pids }));
    }
  });
  cluster.on('exit', () => cluster.fork());
  for (let i = 0; i < Number(workers); i += 1) cluster.fork();
  process.on('SIGTERM', () => process.exit(0)); // its workers leave with it
  // Who has started us from a program and is gone, however it ended, wants no server any more.
  if (fs.fstatSync(0).isFIFO()) process.stdin.on('end', () => process.exit(0)).resume();
} else {
  const never = new Int32Array(new SharedArrayBuffer(4));
  const accepted = Symbol('accepted');
  const looked = Symbol('looked');
  const server = http.createServer((request, response) => {
    const started = process.hrtime.bigint(); // CLOCK_MONOTONIC, as in all our stamps
    const asked = new URL(request.url, 'http://lab').searchParams;
    const deadline = performance.now() + Number(asked.get('cpu_ms') || 0);
    // Blocks the event loop without needing a core, as the lab's own application does.
    for (let left; (left = deadline - performance.now()) > 0;) Atomics.wait(never, 0, 0, left);
    const answer = () => {
      response.setHeader('X-Worker', process.pid);
      response.setHeader('X-Accepted-Ns', String(request.socket[accepted]));
      if (request.socket[looked]) response.setHeader('X-Looked-Ns', String(request.socket[looked]));
      response.setHeader('X-Started-Ns', String(started));
      response.setHeader('X-Served-Ns', String(process.hrtime.bigint()));
      response.end('ok');
    };
    const wait = Number(asked.get('wait_ms') || 0);
    if (wait > 0) setTimeout(answer, wait); else answer();
  });
  // With the descriptor comes a message, before whose handler this is called; where workers accept
  // for themselves there is none.
  let taken = 0n;
  process.prependListener('internalMessage', () => { taken = process.hrtime.bigint(); });
  // Before Node's own listener, which takes most of the time until the loop looks again.
  server.prependListener('connection', (socket) => {
    if (scheduling === 'none') {
      socket[accepted] = process.hrtime.bigint();
      setImmediate(() => { socket[looked] = process.hrtime.bigint(); });
    } else socket[accepted] = taken;
  });
  server.listen(Number(port || 0), '127.0.0.1');
}
