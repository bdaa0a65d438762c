import { type HeaderField, parseContentType } from '../../message/index.ts';

/**
 * A Content-Disposition that marks the body of a mail as an attachment, as receivers of business documents want it;
 * undefined where the mail has parts of its own, or says it already. The file name is that of Content-Type, else a
 * subject that is one (the rule of EDI@Energy).
 */
export function attachmentField(fields: readonly HeaderField[]): Buffer | undefined {
  const value = (key: string) => fields.find((field) => field.key === key)?.value;
  const type = parseContentType(value('content-type'));
  if (type.type === 'multipart' || value('content-disposition') !== undefined) return undefined;
  const name = [type.parameters.get('name'), value('subject')].find((each) => isFileName(each));
  const parameter = name === undefined ? '' : `; filename="${name}"`;
  return Buffer.from(`Content-Disposition: attachment${parameter}\r\n`, 'latin1');
}

/** A plain name with an ending, without folders; all that needs no encoding. */
function isFileName(name: string | undefined): boolean {
  return (
    name !== undefined && name.length <= 150 && /^[A-Za-z0-9_][\w. ()+@,=-]*\.[A-Za-z0-9]{1,10}$/.test(name)
  );
}
