// Recipient kinds that Bouncy Castle's CMS classes do not have, put together from its engines:
// ephemeral-static Diffie-Hellman with id-alg-CMSRC2wrap (RFC 2631, RFC 3370 section 4.3.2, RFC 3217) and
// X25519 / X448 with HKDF (RFC 8418).
import java.math.BigInteger;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.security.spec.X509EncodedKeySpec;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.interfaces.DHPrivateKey;
import javax.crypto.interfaces.DHPublicKey;
import javax.crypto.spec.DHPublicKeySpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.RC2ParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.ASN1Integer;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.ASN1OctetString;
import org.bouncycastle.asn1.DERBitString;
import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.DERSequence;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.cms.EncryptedContentInfo;
import org.bouncycastle.asn1.cms.EnvelopedData;
import org.bouncycastle.asn1.cms.IssuerAndSerialNumber;
import org.bouncycastle.asn1.cms.KeyAgreeRecipientIdentifier;
import org.bouncycastle.asn1.cms.KeyAgreeRecipientInfo;
import org.bouncycastle.asn1.cms.OriginatorIdentifierOrKey;
import org.bouncycastle.asn1.cms.OriginatorPublicKey;
import org.bouncycastle.asn1.cms.RecipientEncryptedKey;
import org.bouncycastle.asn1.cms.RecipientInfo;
import org.bouncycastle.asn1.cms.ecc.ECCCMSSharedInfo;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.RC2CBCParameter;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.asn1.x9.X9ObjectIdentifiers;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.crypto.CipherParameters;
import org.bouncycastle.crypto.Digest;
import org.bouncycastle.crypto.Wrapper;
import org.bouncycastle.crypto.agreement.kdf.DHKDFParameters;
import org.bouncycastle.crypto.agreement.kdf.DHKEKGenerator;
import org.bouncycastle.crypto.digests.SHA1Digest;
import org.bouncycastle.crypto.engines.AESWrapEngine;
import org.bouncycastle.crypto.engines.RC2WrapEngine;
import org.bouncycastle.crypto.generators.HKDFBytesGenerator;
import org.bouncycastle.crypto.params.HKDFParameters;
import org.bouncycastle.crypto.params.KeyParameter;
import org.bouncycastle.crypto.params.ParametersWithRandom;
import org.bouncycastle.crypto.params.RC2Parameters;
import org.bouncycastle.crypto.util.DigestFactory;
import org.bouncycastle.operator.GenericKey;
import org.bouncycastle.util.BigIntegers;

final class ByHand {
  private static byte[] octetsOf(GenericKey key) {
    Object value = key.getRepresentation();
    return value instanceof java.security.Key ? ((java.security.Key) value).getEncoded() : (byte[]) value;
  }

  private static RecipientInfo info(
      AlgorithmIdentifier originator,
      byte[] publicKey,
      AlgorithmIdentifier keyEncryption,
      X509Certificate recipient,
      byte[] encryptedKey)
      throws Exception {
    KeyAgreeRecipientIdentifier identifier =
        new KeyAgreeRecipientIdentifier(
            new IssuerAndSerialNumber(new X509CertificateHolder(recipient.getEncoded()).toASN1Structure()));
    return new RecipientInfo(
        new KeyAgreeRecipientInfo(
            new OriginatorIdentifierOrKey(new OriginatorPublicKey(originator, publicKey)),
            null,
            keyEncryption,
            new DERSequence(new RecipientEncryptedKey(identifier, new DEROctetString(encryptedKey)))));
  }

  private static EnvelopedData enveloped(byte[] message) {
    return EnvelopedData.getInstance(ContentInfo.getInstance(message).getContent());
  }

  private static KeyAgreeRecipientInfo agreement(EnvelopedData data) {
    return KeyAgreeRecipientInfo.getInstance(
        RecipientInfo.getInstance(data.getRecipientInfos().getObjectAt(0)).getInfo());
  }

  private static byte[] encryptedKey(KeyAgreeRecipientInfo info) {
    return RecipientEncryptedKey.getInstance(info.getRecipientEncryptedKeys().getObjectAt(0))
        .getEncryptedKey()
        .getOctets();
  }

  /** The key-encryption key of RFC 2631 section 2.1.2 for RC2 wrap: 128 bits. */
  private static RC2Parameters rc2Kek(PrivateKey own, DHPublicKey other) throws Exception {
    KeyAgreement agreement = KeyAgreement.getInstance("DH", "BC");
    agreement.init(own);
    agreement.doPhase(other, true);
    int length = (other.getParams().getP().bitLength() + 7) / 8;
    byte[] z = BigIntegers.asUnsignedByteArray(length, new BigInteger(1, agreement.generateSecret()));
    DHKEKGenerator generator = new DHKEKGenerator(new SHA1Digest());
    generator.init(new DHKDFParameters(PKCSObjectIdentifiers.id_alg_CMSRC2wrap, 128, z, null));
    byte[] kek = new byte[16];
    generator.generateBytes(kek, 0, kek.length);
    return new RC2Parameters(kek, 128);
  }

  static final class Rc2Wrapped implements RecipientInfoGenerator {
    private final X509Certificate certificate;

    Rc2Wrapped(Peer.Request request) throws Exception {
      certificate = request.once("cert", Enveloped::certificate);
    }

    public RecipientInfo generate(GenericKey key) {
      try {
        DHPublicKey recipient = (DHPublicKey) certificate.getPublicKey();
        KeyPair pair = Enveloped.ephemeral(recipient);
        CipherParameters kek = rc2Kek(pair.getPrivate(), recipient);
        byte[] wrapped = wrap(new RC2WrapEngine(), new ParametersWithRandom(kek, new SecureRandom()), octetsOf(key));
        SubjectPublicKeyInfo own = SubjectPublicKeyInfo.getInstance(pair.getPublic().getEncoded());
        // RC2ParameterVersion 58 is 128 effective bits
        AlgorithmIdentifier wrap = new AlgorithmIdentifier(PKCSObjectIdentifiers.id_alg_CMSRC2wrap, new ASN1Integer(58));
        return info(
            new AlgorithmIdentifier(X9ObjectIdentifiers.dhpublicnumber),
            own.getPublicKeyData().getBytes(),
            new AlgorithmIdentifier(PKCSObjectIdentifiers.id_alg_ESDH, wrap),
            certificate,
            wrapped);
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
    }
  }

  static byte[] decryptRc2Wrapped(Peer.Request request) throws Exception {
    EnvelopedData data = enveloped(request.octets("message"));
    KeyAgreeRecipientInfo info = agreement(data);
    DHPrivateKey key = (DHPrivateKey) request.once("key", Enveloped::privateKey);
    byte[] bits = info.getOriginator().getOriginatorKey().getPublicKey().getOctets();
    DHPublicKeySpec spec =
        new DHPublicKeySpec(
            ASN1Integer.getInstance(bits).getValue(), key.getParams().getP(), key.getParams().getG());
    DHPublicKey originator = (DHPublicKey) KeyFactory.getInstance("DH", "BC").generatePublic(spec);
    byte[] contentKey = unwrap(new RC2WrapEngine(), rc2Kek(key, originator), encryptedKey(info));
    EncryptedContentInfo content = data.getEncryptedContentInfo();
    RC2CBCParameter parameters =
        RC2CBCParameter.getInstance(content.getContentEncryptionAlgorithm().getParameters());
    java.security.AlgorithmParameters decoded = java.security.AlgorithmParameters.getInstance("RC2", "BC");
    decoded.init(parameters.getEncoded(), "ASN.1");
    Cipher cipher = Cipher.getInstance("RC2/CBC/PKCS5Padding", "BC");
    cipher.init(
        Cipher.DECRYPT_MODE,
        new SecretKeySpec(contentKey, "RC2"),
        decoded.getParameterSpec(RC2ParameterSpec.class));
    return cipher.doFinal(content.getEncryptedContent().getOctets());
  }

  private static byte[] wrap(Wrapper wrapper, CipherParameters kek, byte[] key) {
    wrapper.init(true, kek);
    return wrapper.wrap(key, 0, key.length);
  }

  private static byte[] unwrap(Wrapper wrapper, CipherParameters kek, byte[] key) throws Exception {
    wrapper.init(false, kek);
    return wrapper.unwrap(key, 0, key.length);
  }

  /** dhSinglePass-stdDH-hkdf-sha256-scheme and its siblings (RFC 8418 section 2.2). */
  private static ASN1ObjectIdentifier hkdfScheme(String digest) {
    int arc = digest.equals("SHA-256") ? 19 : digest.equals("SHA-384") ? 20 : 21;
    return new ASN1ObjectIdentifier("1.2.840.113549.1.9.16.3." + arc);
  }

  private static KeyParameter hkdfKek(PrivateKey own, PublicKey other, AlgorithmIdentifier wrap, String digestName)
      throws Exception {
    KeyAgreement agreement = KeyAgreement.getInstance(own.getAlgorithm(), "BC");
    agreement.init(own);
    agreement.doPhase(other, true);
    int arc = Integer.parseInt(wrap.getAlgorithm().getId().replaceFirst(".*\\.", ""));
    int bits = arc == 5 ? 128 : arc == 25 ? 192 : 256;
    byte[] supplement = {0, 0, (byte) (bits >> 8), (byte) bits};
    Digest digest =
        digestName.equals("SHA-256")
            ? DigestFactory.createSHA256()
            : digestName.equals("SHA-384") ? DigestFactory.createSHA384() : DigestFactory.createSHA512();
    HKDFBytesGenerator generator = new HKDFBytesGenerator(digest);
    byte[] shared = new ECCCMSSharedInfo(wrap, supplement).getEncoded("DER");
    generator.init(new HKDFParameters(agreement.generateSecret(), null, shared));
    byte[] kek = new byte[bits / 8];
    generator.generateBytes(kek, 0, kek.length);
    return new KeyParameter(kek);
  }

  static final class Montgomery implements RecipientInfoGenerator {
    private final X509Certificate certificate;
    private final String digest;
    private final AlgorithmIdentifier wrap;

    Montgomery(Peer.Request request) throws Exception {
      certificate = request.once("cert", Enveloped::certificate);
      digest = request.text("kdf");
      wrap = new AlgorithmIdentifier(Enveloped.wrap(request));
    }

    public RecipientInfo generate(GenericKey key) {
      try {
        PublicKey recipient = certificate.getPublicKey();
        KeyPair pair = Enveloped.ephemeral(recipient);
        KeyParameter kek = hkdfKek(pair.getPrivate(), recipient, wrap, digest);
        SubjectPublicKeyInfo own = SubjectPublicKeyInfo.getInstance(pair.getPublic().getEncoded());
        return info(
            own.getAlgorithm(),
            own.getPublicKeyData().getBytes(),
            new AlgorithmIdentifier(hkdfScheme(digest), wrap),
            certificate,
            wrap(new AESWrapEngine(), kek, octetsOf(key)));
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
    }
  }

  /** Reads AES-CBC contents, which the X25519 and X448 cases use. */
  static byte[] decryptMontgomery(Peer.Request request) throws Exception {
    EnvelopedData data = enveloped(request.octets("message"));
    KeyAgreeRecipientInfo info = agreement(data);
    PrivateKey key = request.once("key", Enveloped::privateKey);
    OriginatorPublicKey originator = info.getOriginator().getOriginatorKey();
    SubjectPublicKeyInfo spki =
        new SubjectPublicKeyInfo(originator.getAlgorithm(), originator.getPublicKey().getOctets());
    PublicKey other =
        KeyFactory.getInstance(key.getAlgorithm(), "BC").generatePublic(new X509EncodedKeySpec(spki.getEncoded()));
    String digest = request.text("kdf");
    if (!info.getKeyEncryptionAlgorithm().getAlgorithm().equals(hkdfScheme(digest)))
      throw new Exception("the message has another key agreement scheme");
    AlgorithmIdentifier wrap = AlgorithmIdentifier.getInstance(info.getKeyEncryptionAlgorithm().getParameters());
    byte[] contentKey = unwrap(new AESWrapEngine(), hkdfKek(key, other, wrap, digest), encryptedKey(info));
    EncryptedContentInfo content = data.getEncryptedContentInfo();
    byte[] iv =
        ASN1OctetString.getInstance(content.getContentEncryptionAlgorithm().getParameters()).getOctets();
    Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding", "BC");
    cipher.init(Cipher.DECRYPT_MODE, new SecretKeySpec(contentKey, "AES"), new IvParameterSpec(iv));
    return cipher.doFinal(content.getEncryptedContent().getOctets());
  }
}
