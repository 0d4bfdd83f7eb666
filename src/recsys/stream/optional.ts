/**
 * Clients of brokers are installed by those who use them.
 */

/** A module that may not be installed. @throws Error that says how to install it */
export async function optionalModule<M>(load: () => Promise<M>, what: string, packages: string): Promise<M> {
  try {
    return await load();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error(`${what} needs ${packages}: npm install ${packages}`, { cause: error });
  }
}
