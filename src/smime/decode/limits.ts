import { type BudgetLimits, defaultBudget } from '../../budget.ts';
import { type CmsLimits, defaultLimits } from '../../cms/index.ts';
import { defaultMessageLimits, type MessageLimits } from '../../message/index.ts';

/** Limits for decoding one message (threats S10, S12, S13). Each one that is not given has its default. */
export interface DecodeLimits {
  /** Nested S/MIME layers; any more are `layer-limit`. Default 10. */
  readonly layers?: number;
  /** Octets of one header block. Default 100 KiB. */
  readonly headerSize?: number;
  /** Parts of one multipart. Default 1,000. */
  readonly parts?: number;
  /** Nested multiparts. Default 100. */
  readonly depth?: number;
  /** S/MIME parts below a multipart. Each may cost a private-key operation. Default 20. */
  readonly embedded?: number;
  /** Units of work for the whole message; see `Budget`. Default 1,000,000; more for a large message. */
  readonly work?: number;
  /**
   * Octets that the whole message may expand to; see `Budget`. Default 16 MiB plus 32 for each octet of the message.
   */
  readonly output?: number;
  readonly cms?: Partial<CmsLimits>;
}

/** All limits, with defaults filled in. */
export interface SettledLimits {
  readonly layers: number;
  readonly embedded: number;
  readonly message: MessageLimits;
  readonly cms: CmsLimits;
  readonly budget: BudgetLimits;
}

const defaultLayers = 10;
const defaultEmbedded = 20;

export function settleLimits(limits: DecodeLimits = {}): SettledLimits {
  const { headerOctets, parts, depth } = defaultMessageLimits;
  return {
    layers: limits.layers ?? defaultLayers,
    embedded: limits.embedded ?? defaultEmbedded,
    message: {
      ...defaultMessageLimits,
      headerOctets: limits.headerSize ?? headerOctets,
      parts: limits.parts ?? parts,
      depth: limits.depth ?? depth,
    },
    cms: { ...defaultLimits, ...limits.cms },
    budget: { work: limits.work ?? defaultBudget.work, output: limits.output ?? defaultBudget.output },
  };
}
