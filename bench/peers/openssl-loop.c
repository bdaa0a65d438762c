/*
 * OpenSSL in process, as the yardstick of the benches: loops over libcrypto's CMS calls and prints
 * messages a second by the clock and by processor time. Keys and certificates are parsed once.
 *
 *   openssl-loop decrypt KEY.pem CERT.pem MESSAGE.eml SECONDS
 *   openssl-loop signencrypt KEY.pem CERT.pem CONTENT SECONDS CIPHER [RECIPIENT.pem [binary]]
 *
 * With `binary` the signed layer under the encryption has that transfer encoding, else base64.
 */
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static double processor(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
  fprintf(stderr, "openssl-loop: %s\n", what);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static BIO *memory(const char *data, long size) {
  BIO *bio = BIO_new_mem_buf(data, (int)size);
  if (!bio) die("BIO_new_mem_buf");
  return bio;
}

static void decrypt(const char *data, long size, EVP_PKEY *key, X509 *cert) {
  BIO *in = memory(data, size), *detached = NULL, *out = BIO_new(BIO_s_mem());
  CMS_ContentInfo *cms = SMIME_read_CMS(in, &detached);
  if (!cms || !CMS_decrypt(cms, key, cert, NULL, out, CMS_BINARY)) die("decrypt");
  CMS_ContentInfo_free(cms);
  BIO_free(detached);
  BIO_free(in);
  BIO_free(out);
}

static void signencrypt(const char *data, long size, EVP_PKEY *key, X509 *cert, const EVP_CIPHER *cipher,
                        X509 *recipient, int binary) {
  BIO *in = memory(data, size), *middle = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
  STACK_OF(X509) *to = sk_X509_new_null();
  sk_X509_push(to, recipient);
  int flags = CMS_BINARY | CMS_STREAM;
  CMS_ContentInfo *signedData = CMS_sign(cert, key, NULL, in, flags);
  if (!signedData) die("sign");
  if (!binary) {
    if (!SMIME_write_CMS(middle, signedData, in, flags)) die("sign");
  } else {
    BIO_puts(middle, "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=\"smime.p7m\"\r\n"
                     "Content-Transfer-Encoding: binary\r\n\r\n");
    if (!i2d_CMS_bio_stream(middle, signedData, in, flags)) die("sign");
  }
  CMS_ContentInfo *enveloped = CMS_encrypt(to, middle, cipher, flags);
  if (!enveloped || !SMIME_write_CMS(out, enveloped, middle, flags)) die("encrypt");
  CMS_ContentInfo_free(signedData);
  CMS_ContentInfo_free(enveloped);
  sk_X509_free(to);
  BIO_free(in);
  BIO_free(middle);
  BIO_free(out);
}

int main(int argc, char **argv) {
  if (argc < 6) die("usage: openssl-loop decrypt|signencrypt KEY CERT FILE SECONDS [CIPHER]");
  OSSL_PROVIDER_load(NULL, "default");
  OSSL_PROVIDER_load(NULL, "legacy");
  BIO *file = BIO_new_file(argv[2], "r");
  EVP_PKEY *key = file ? PEM_read_bio_PrivateKey(file, NULL, NULL, NULL) : NULL;
  BIO_free(file);
  file = BIO_new_file(argv[3], "r");
  X509 *cert = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
  BIO_free(file);
  X509 *recipient = cert;
  if (argc > 7) {
    file = BIO_new_file(argv[7], "r");
    recipient = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
    BIO_free(file);
  }
  FILE *input = fopen(argv[4], "rb");
  if (!key || !cert || !recipient || !input) die("cannot read key, certificate or file");
  fseek(input, 0, SEEK_END);
  long size = ftell(input);
  rewind(input);
  char *data = malloc(size);
  if (!data || fread(data, 1, size, input) != (size_t)size) die("read");
  const EVP_CIPHER *cipher = argc > 6 ? EVP_get_cipherbyname(argv[6]) : NULL;
  int decrypting = strcmp(argv[1], "decrypt") == 0;
  if (!decrypting && !cipher) die("no such cipher");

  double seconds = atof(argv[5]), start = 0, used = 0;
  long count = -1; /* the first round warms up and is not counted */
  do {
    if (decrypting) decrypt(data, size, key, cert);
    else signencrypt(data, size, key, cert, cipher, recipient, argc > 8);
    if (++count == 0) start = now(), used = processor();
  } while (count < 1 || now() - start < seconds);
  printf("%.2f %.2f\n", count / (now() - start), count / (processor() - used));
  return 0;
}
