/**
 * The peer Bouncy Castle (Debian's libbcmail-java): the classes in `java/`, compiled once, in one JVM that answers line
 * by line. `loop` serves benches.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, createPrivateKey } from 'node:crypto';
import { accessSync, globSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { madeOnce } from '../made-once.ts';
import { bareCms } from './artefact.ts';
import { caFileName, type Identity, identityOf } from './identities.ts';
import { findProgram, runOk } from './run.ts';
import {
  type Absent,
  type Artefact,
  type EncryptionCase,
  type InteropCase,
  type Peer,
  PeerError,
  type Role,
  type SignatureCase,
} from './types.ts';

type Values = Record<string, Buffer | string>;

/** Where Debian puts the jars; another place by the environment variable BC_JARS. */
function jars(): string[] {
  const folder = process.env.BC_JARS ?? '/usr/share/java';
  return [
    'bcprov.jar',
    'bcpkix.jar',
    'bcutil.jar',
    'bcmail.jar',
    'javax.mail.jar',
    'javax.activation.jar',
  ].map((name) => join(folder, name));
}

/** The Java program and its line protocol. */
export class JavaProcess {
  readonly #child: ChildProcess;
  readonly #waiting: { resolve: (octets: Buffer) => void; reject: (error: Error) => void }[] = [];
  readonly #ended: Promise<void>;

  constructor(child: ChildProcess) {
    this.#child = child;
    const { stdout } = child;
    if (stdout === null) throw new Error('the JVM has no standard output');
    createInterface({ input: stdout }).on('line', (line) => this.#answer(line));
    this.#ended = new Promise((resolve) => {
      child.on('close', () => {
        for (const each of this.#waiting.splice(0)) each.reject(new PeerError('the JVM has ended'));
        resolve();
      });
    });
  }

  /** One operation of Peer.java. The answers come in the order of the requests. */
  ask(op: string, values: Values = {}): Promise<Buffer> {
    const words = Object.entries(values).map(
      ([name, value]) =>
        `${name}=${(typeof value === 'string' ? Buffer.from(value) : value).toString('base64')}`,
    );
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin?.write(`${[op, ...words].join(' ')}\n`);
    });
  }

  /**
   * Repeats an operation for about this many seconds in the warm JVM; messages a second, by clock and processor time.
   */
  async loop(op: string, seconds: number, values: Values): Promise<{ rate: number; cpuRate: number }> {
    const answer = await this.ask('loop', { ...values, op, seconds: String(seconds) });
    const [runs = 0, took = 1, processor = 1] = answer.toString().split(' ').map(Number);
    return { rate: runs / took, cpuRate: runs / processor };
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }

  #answer(line: string): void {
    const next = this.#waiting.shift();
    const octets = Buffer.from(line.slice(3), 'base64');
    if (line.startsWith('ok')) next?.resolve(octets);
    else next?.reject(new PeerError(octets.toString().replace(/\s+/g, ' ').slice(0, 160)));
  }
}

/** A JVM that lives for seconds: the optimizing compiler costs more than it brings. */
const shortLived = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

/**
 * Starts the JVM; undefined where java, its compiler or the jars are not installed.
 *
 * @param options of the JVM; a bench wants the optimizing compiler
 */
export async function startJava(options = shortLived): Promise<JavaProcess | undefined> {
  const path = jars();
  const javac = findProgram('javac');
  if (findProgram('java') === undefined || javac === undefined) return undefined;
  try {
    for (const jar of path) accessSync(jar);
  } catch {
    return undefined;
  }
  const sources = globSync(join(import.meta.dirname, 'java', '*.java')).toSorted();
  const hash = createHash('sha256').update(realpathSync(javac));
  for (const file of sources) hash.update(readFileSync(file));
  for (const { size, mtimeMs } of path.map((jar) => statSync(jar))) hash.update(`${size} ${mtimeMs} `);
  const classes = await madeOnce(`java-${hash.digest('hex').slice(0, 16)}`, async (folder) => {
    await runOk('javac', ['-d', folder, '-cp', path.join(':'), ...sources]);
  });
  const args = ['-Xshare:auto', ...options, '-cp', [classes, ...path].join(':'), 'Peer'];
  return new JavaProcess(spawn('java', args, { stdio: ['pipe', 'pipe', 'ignore'] }));
}

function pkcs8(identity: Identity): Buffer {
  return createPrivateKey(identity.keyPem).export({ type: 'pkcs8', format: 'der' });
}

/** Such as SHA256WITHRSA, SHA384WITHRSAANDMGF1, SHA3-256WITHECDSA, ED25519. */
function signatureName(each: SignatureCase): string {
  if (each.scheme === 'eddsa') return each.signer.toUpperCase();
  const digest = each.digest.replace(/^SHA-/, 'SHA');
  const key = { pkcs1: 'RSA', pss: 'RSAANDMGF1', ecdsa: 'ECDSA', dsa: 'DSA' }[each.scheme];
  return `${digest}WITH${key}`;
}

class BouncyCastle implements Peer {
  readonly name = 'Bouncy Castle';
  readonly version: string;
  readonly #java: JavaProcess;
  readonly #identities: Map<string, Identity>;
  readonly #ca: Buffer;

  constructor(version: string, java: JavaProcess, identities: Map<string, Identity>, ca: Buffer) {
    this.version = version;
    this.#java = java;
    this.#identities = identities;
    this.#ca = ca;
  }

  can(_each: InteropCase, _role: Role): true | string {
    return true;
  }

  async write(each: InteropCase, content: Buffer): Promise<Artefact> {
    if (each.type === 'compression')
      return { form: 'cms', octets: await this.#java.ask('compress', { content }) };
    if (each.type === 'signature') return await this.#sign(each, content);
    const values: Values = { ...this.#keyValues(each), content, cipher: each.cipher };
    if (each.recipient !== undefined) values.cert = identityOf(this.#identities, each.recipient).der;
    if (each.byKeyId) values.keyid = '1';
    return { form: 'cms', octets: await this.#java.ask('encrypt', values) };
  }

  async read(each: InteropCase, message: Artefact): Promise<Buffer> {
    const { octets, content } = bareCms(message);
    const values: Values = { message: octets };
    if (each.type === 'compression') return await this.#java.ask('uncompress', values);
    if (each.type === 'signature') {
      if (content !== undefined) values.content = content;
      return await this.#java.ask('verify', { ...values, ca: this.#ca });
    }
    if (each.recipient !== undefined) values.key = pkcs8(identityOf(this.#identities, each.recipient));
    return await this.#java.ask('decrypt', { ...this.#keyValues(each), ...values });
  }

  async close(): Promise<void> {
    await this.#java.close();
  }

  async #sign(each: SignatureCase, content: Buffer): Promise<Artefact> {
    const signer = identityOf(this.#identities, each.signer);
    const values: Values = {
      content,
      cert: signer.der,
      key: pkcs8(signer),
      algorithm: signatureName(each),
    };
    if (each.attributes) values.attributes = '1';
    if (each.byKeyId) values.keyid = '1';
    if (each.form === 'opaque') return { form: 'cms', octets: await this.#java.ask('sign', values) };
    return { form: 'cms', octets: await this.#java.ask('sign', { ...values, detached: '1' }), content };
  }

  #keyValues(each: EncryptionCase): Values {
    const how = each.keyManagement;
    const values: Values = { kind: how.kind };
    switch (how.kind) {
      case 'rsa-oaep':
        values.digest = how.digest;
        values.mgf = how.mgf;
        if (how.label !== undefined) values.label = how.label;
        break;
      case 'dh':
        values.wrap = how.wrap;
        if (how.ukm !== undefined) values.ukm = how.ukm;
        if (how.static) {
          const sender = identityOf(this.#identities, 'dh-x942-sender');
          values.senderKey = pkcs8(sender);
          values.senderCert = sender.der;
        }
        break;
      case 'ecdh':
        values.wrap = how.wrap;
        values.kdf = how.kdf;
        if (how.cofactor) values.cofactor = '1';
        if (how.ukm !== undefined) values.ukm = how.ukm;
        break;
      case 'xdh':
        values.wrap = how.wrap;
        values.kdf = how.kdf;
        break;
      case 'kek':
        values.wrap = how.wrap;
        values.secret = Buffer.from(how.secret, 'hex');
        values.id = Buffer.from(how.id, 'hex');
        break;
      case 'password':
        values.password = how.password;
        break;
      default:
        break;
    }
    return values;
  }
}

/** The peer, or that it is not installed. `folder` is where the identities lie. */
export async function startBouncyCastle(
  identities: Map<string, Identity>,
  folder: string,
): Promise<Peer | Absent> {
  const java = await startJava();
  if (java === undefined)
    return { name: 'Bouncy Castle', missing: 'java, javac or libbcmail-java is not installed' };
  const version = (await java.ask('version')).toString();
  const ca = await runOk('openssl', ['x509', '-in', join(folder, caFileName), '-outform', 'DER']);
  return new BouncyCastle(version, java, identities, ca);
}
