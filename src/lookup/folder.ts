/** A folder of certificate files. */
import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { readPublicFile } from '../config/index.ts';
import { hasCode, SealpostError, toErrorInfo } from '../errors.ts';
import { sameAddress } from '../message/index.ts';
import { type Certificate, readCertificates } from '../pki/index.ts';
import { answerLimits, type Directory } from './types.ts';

const endings: ReadonlySet<string> = new Set(['.pem', '.cer', '.crt', '.der', '.p7b', '.p7c']);
/** With more files than this, it is not a folder of partners' certificates. */
const mostFiles = 10_000;

export function folder(path: string): Directory {
  return {
    kind: 'folder',
    async find({ address }) {
      const certificates: Certificate[] = [];
      const beside: string[] = [];
      for (const name of await namesIn(path)) {
        if (certificates.length >= answerLimits.certificates) break;
        try {
          const found = readCertificates(readPublicFile(join(path, name)));
          certificates.push(
            ...found.filter(({ emails }) => emails.some((each) => sameAddress(each, address))),
          );
        } catch (error) {
          if (!(error instanceof SealpostError)) throw error;
          beside.push(`a file that cannot be read, ${JSON.stringify(name)}: ${error.message}`);
        }
      }
      return { certificates: certificates.slice(0, answerLimits.certificates), beside };
    },
  };
}

async function namesIn(path: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    const why = hasCode(error, 'ENOENT') ? 'there is no such folder' : toErrorInfo(error).message;
    throw new SealpostError('lookup-failed', `folder ${path}: ${why}`, {
      hint: 'make the folder, or correct lookup.directories[].path',
      cause: error,
    });
  }
  const wanted = names.filter((name) => endings.has(extname(name).toLowerCase()));
  if (wanted.length > mostFiles)
    throw new SealpostError('lookup-failed', `folder ${path} has more than ${mostFiles} certificate files`);
  return wanted.sort();
}
