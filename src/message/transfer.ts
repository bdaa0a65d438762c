import { type Budget, costs } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import { Base64Decoder } from './base64.ts';
import { QuotedPrintableDecoder } from './quoted-printable.ts';
import type { Sink } from './sink.ts';
import { UuDecoder } from './uuencode.ts';

/**
 * A sink that decodes a Content-Transfer-Encoding (RFC 2045, section 6) into `output`. 7bit, 8bit and binary are the
 * octets themselves, so `output` is returned as it is.
 *
 * Errors: `transfer-encoding` at once for an encoding that does not exist; the same code while it is written for a body
 * that cannot be decoded.
 *
 * @param budget that the octets draw on
 */
export function transferDecoder(encoding: string, output: Sink, budget?: Budget): Sink {
  const decoder = plainDecoder(encoding, output);
  if (budget === undefined || decoder === output) return decoder;
  const cost = costs.transferOctet(encoding.trim().toLowerCase());
  return {
    write: (chunk) => {
      budget.spend(chunk.length * cost);
      decoder.write(chunk);
    },
    end: () => decoder.end(),
  };
}

function plainDecoder(encoding: string, output: Sink): Sink {
  switch (encoding.trim().toLowerCase()) {
    case '':
    case '7bit':
    case '8bit':
    case 'binary':
    // seen in mail of the nineties
    case '7-bit':
    case '8-bit':
      return output;
    case 'base64':
      return new Base64Decoder(output);
    case 'quoted-printable':
      return new QuotedPrintableDecoder(output);
    case 'x-uuencode':
    case 'x-uue':
    case 'uuencode':
    case 'uue':
      return new UuDecoder(output);
    default:
      throw new SealpostError('transfer-encoding', 'the Content-Transfer-Encoding is not a known one');
  }
}
