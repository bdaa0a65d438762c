/** Files of the data folder that say what was seen, and what was refused. */
export const dataFiles = ['certs.refused', 'certs.version', 'clients.version', 'users.version'] as const;
