// EnvelopedData and AuthEnvelopedData with Bouncy Castle's own generators and parsers.
import java.security.AlgorithmParameters;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import javax.crypto.Cipher;
import javax.crypto.CipherOutputStream;
import javax.crypto.interfaces.DHPublicKey;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.RC2ParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.oiw.OIWObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.pkcs.RC2CBCParameter;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.KEKRecipientInformation;
import org.bouncycastle.cms.KeyAgreeRecipientInformation;
import org.bouncycastle.cms.PasswordRecipientInformation;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientInformationStore;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKEKEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEKRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JcePasswordEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JcePasswordRecipientInfoGenerator;
import org.bouncycastle.operator.GenericKey;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;
import org.bouncycastle.operator.jcajce.JceGenericKey;
import org.bouncycastle.util.encoders.Hex;

final class Enveloped {
  private static final String BC = "BC";

  static X509Certificate certificate(byte[] der) throws Exception {
    return new JcaX509CertificateConverter().setProvider(BC).getCertificate(new X509CertificateHolder(der));
  }

  static PrivateKey privateKey(byte[] pkcs8) throws Exception {
    String algorithm = PrivateKeyInfo.getInstance(pkcs8).getPrivateKeyAlgorithm().getAlgorithm().getId();
    return KeyFactory.getInstance(algorithm, BC).generatePrivate(new PKCS8EncodedKeySpec(pkcs8));
  }

  static ASN1ObjectIdentifier named(String field) throws Exception {
    return (ASN1ObjectIdentifier) CMSAlgorithm.class.getField(field).get(null);
  }

  static byte[] encrypt(Peer.Request request) throws Exception {
    OutputEncryptor encryptor = encryptor(request.text("cipher"));
    RecipientInfoGenerator recipient = recipient(request);
    CMSProcessableByteArray content = new CMSProcessableByteArray(request.octets("content"));
    if (encryptor instanceof OutputAEADEncryptor) {
      CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
      generator.addRecipientInfoGenerator(recipient);
      return generator.generate(content, (OutputAEADEncryptor) encryptor).getEncoded();
    }
    CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
    generator.addRecipientInfoGenerator(recipient);
    return generator.generate(content, encryptor).getEncoded();
  }

  /** The case's cipher by its name in the tests, such as AES-128-CBC, 3DES, RC2-40, Camellia-128. */
  static OutputEncryptor encryptor(String cipher) throws Exception {
    if (cipher.startsWith("RC2-")) return rc2(Integer.parseInt(cipher.substring(4)));
    ASN1ObjectIdentifier oid;
    if (cipher.equals("DES")) oid = OIWObjectIdentifiers.desCBC;
    else if (cipher.equals("3DES")) oid = CMSAlgorithm.DES_EDE3_CBC;
    else if (cipher.equals("CAST5")) oid = CMSAlgorithm.CAST5_CBC;
    else if (cipher.equals("ChaCha20-Poly1305")) oid = PKCSObjectIdentifiers.id_alg_AEADChaCha20Poly1305;
    else if (cipher.startsWith("Camellia-")) oid = named("CAMELLIA" + cipher.substring(9) + "_CBC");
    else oid = named(cipher.replaceFirst("AES-", "AES").replace('-', '_'));
    return new JceCMSContentEncryptorBuilder(oid).setProvider(BC).build();
  }

  /** RC2 with a key of the effective length; the generators of Bouncy Castle have 128 bits only. */
  private static OutputEncryptor rc2(int bits) throws Exception {
    SecureRandom random = new SecureRandom();
    byte[] key = new byte[Math.min(128, (bits + 7) / 8)];
    byte[] iv = new byte[8];
    random.nextBytes(key);
    random.nextBytes(iv);
    RC2ParameterSpec spec = new RC2ParameterSpec(bits, iv);
    SecretKeySpec secret = new SecretKeySpec(key, "RC2");
    Cipher cipher = Cipher.getInstance("RC2/CBC/PKCS5Padding", BC);
    cipher.init(Cipher.ENCRYPT_MODE, secret, spec);
    // these parameters turn the bits into RC2ParameterVersion (RFC 2268 section 6)
    AlgorithmParameters coded = AlgorithmParameters.getInstance("RC2", BC);
    coded.init(spec);
    RC2CBCParameter parameters = RC2CBCParameter.getInstance(coded.getEncoded("ASN.1"));
    AlgorithmIdentifier algorithm = new AlgorithmIdentifier(PKCSObjectIdentifiers.RC2_CBC, parameters);
    return new OutputEncryptor() {
      public AlgorithmIdentifier getAlgorithmIdentifier() {
        return algorithm;
      }

      public java.io.OutputStream getOutputStream(java.io.OutputStream to) {
        return new CipherOutputStream(to, cipher);
      }

      public GenericKey getKey() {
        return new JceGenericKey(algorithm, secret);
      }
    };
  }

  static RecipientInfoGenerator recipient(Peer.Request request) throws Exception {
    switch (request.text("kind")) {
      case "rsa-pkcs1":
      case "rsa-oaep":
        return keyTransport(request);
      case "dh":
        return request.text("wrap").equals("RC2") ? new ByHand.Rc2Wrapped(request) : keyAgreement(request);
      case "ecdh":
        return keyAgreement(request);
      case "xdh":
        return new ByHand.Montgomery(request);
      case "kek":
        return new JceKEKRecipientInfoGenerator(
                request.octets("id"), new SecretKeySpec(request.octets("secret"), kekAlgorithm(request)))
            .setProvider(BC);
      case "password":
        return new JcePasswordRecipientInfoGenerator(
                CMSAlgorithm.AES256_CBC, request.text("password").toCharArray())
            .setProvider(BC);
      default:
        throw new IllegalArgumentException("no key management " + request.text("kind"));
    }
  }

  private static String kekAlgorithm(Peer.Request request) {
    return request.text("wrap").equals("3DES") ? "DESede" : "AES";
  }

  private static byte[] keyId(X509Certificate certificate) throws Exception {
    byte[] extension = certificate.getExtensionValue("2.5.29.14");
    return org.bouncycastle.asn1.ASN1OctetString.getInstance(
            JcaX509ExtensionUtils.parseExtensionValue(extension))
        .getOctets();
  }

  private static RecipientInfoGenerator keyTransport(Peer.Request request) throws Exception {
    X509Certificate certificate = request.once("cert", Enveloped::certificate);
    PublicKey key = certificate.getPublicKey();
    boolean byKeyId = request.has("keyid");
    if (request.text("kind").equals("rsa-pkcs1")) {
      return byKeyId
          ? new JceKeyTransRecipientInfoGenerator(keyId(certificate), key).setProvider(BC)
          : new JceKeyTransRecipientInfoGenerator(certificate).setProvider(BC);
    }
    PSource source =
        request.has("label") ? new PSource.PSpecified(request.octets("label")) : PSource.PSpecified.DEFAULT;
    AlgorithmParameterSpec spec =
        new OAEPParameterSpec(
            request.text("digest"), "MGF1", new MGF1ParameterSpec(request.text("mgf")), source);
    AlgorithmIdentifier oaep =
        new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(PKCSObjectIdentifiers.id_RSAES_OAEP, spec);
    return byKeyId
        ? new JceKeyTransRecipientInfoGenerator(keyId(certificate), oaep, key).setProvider(BC)
        : new JceKeyTransRecipientInfoGenerator(certificate, oaep).setProvider(BC);
  }

  static KeyPair ephemeral(PublicKey like) throws Exception {
    KeyPairGenerator generator;
    if (like instanceof DHPublicKey) {
      generator = KeyPairGenerator.getInstance("DH", BC);
      generator.initialize(((DHPublicKey) like).getParams());
    } else if (like instanceof ECPublicKey) {
      generator = KeyPairGenerator.getInstance("EC", BC);
      generator.initialize(((ECPublicKey) like).getParams());
    } else generator = KeyPairGenerator.getInstance(like.getAlgorithm(), BC);
    return generator.generateKeyPair();
  }

  static ASN1ObjectIdentifier wrap(Peer.Request request) throws Exception {
    String name = request.text("wrap");
    if (name.equals("3DES")) return PKCSObjectIdentifiers.id_alg_CMS3DESwrap;
    return named(name.replace("-", "") + "_WRAP");
  }

  private static RecipientInfoGenerator keyAgreement(Peer.Request request) throws Exception {
    X509Certificate certificate = request.once("cert", Enveloped::certificate);
    PrivateKey senderKey;
    PublicKey senderPublic;
    if (request.has("senderKey")) {
      senderKey = request.once("senderKey", Enveloped::privateKey);
      senderPublic = request.once("senderCert", Enveloped::certificate).getPublicKey();
    } else {
      KeyPair pair = ephemeral(certificate.getPublicKey());
      senderKey = pair.getPrivate();
      senderPublic = pair.getPublic();
    }
    ASN1ObjectIdentifier scheme;
    if (request.text("kind").equals("dh"))
      scheme = request.has("senderKey") ? PKCSObjectIdentifiers.id_alg_SSDH : PKCSObjectIdentifiers.id_alg_ESDH;
    else
      scheme =
          named((request.has("cofactor") ? "ECCDH_" : "ECDH_") + request.text("kdf").replace("-", "") + "KDF");
    JceKeyAgreeRecipientInfoGenerator generator =
        new JceKeyAgreeRecipientInfoGenerator(scheme, senderKey, senderPublic, wrap(request)).setProvider(BC);
    if (request.has("ukm")) generator.setUserKeyingMaterial(Hex.decode(request.text("ukm")));
    if (request.has("keyid")) generator.addRecipient(keyId(certificate), certificate.getPublicKey());
    else generator.addRecipient(certificate);
    return generator;
  }

  static byte[] decrypt(Peer.Request request) throws Exception {
    byte[] message = request.has("mail") ? Mail.object(request.octets("mail")) : request.octets("message");
    if (request.text("kind", "").equals("dh") && request.text("wrap", "").equals("RC2"))
      return ByHand.decryptRc2Wrapped(request);
    if (request.text("kind", "").equals("xdh")) return ByHand.decryptMontgomery(request);
    boolean authenticated =
        ContentInfo.getInstance(message).getContentType().equals(CMSObjectIdentifiers.authEnvelopedData);
    RecipientInformationStore recipients =
        authenticated
            ? new CMSAuthEnvelopedData(message).getRecipientInfos()
            : new CMSEnvelopedData(message).getRecipientInfos();
    Exception last = new Exception("the message has no recipients");
    for (RecipientInformation each : recipients.getRecipients()) {
      try {
        return each.getContent(opener(each, authenticated, request));
      } catch (Exception error) {
        last = error;
      }
    }
    throw last;
  }

  private static Recipient opener(RecipientInformation each, boolean authenticated, Peer.Request request)
      throws Exception {
    if (each instanceof KEKRecipientInformation)
      return new JceKEKEnvelopedRecipient(new SecretKeySpec(request.octets("secret"), kekAlgorithm(request)))
          .setProvider(BC);
    if (each instanceof PasswordRecipientInformation)
      return new JcePasswordEnvelopedRecipient(request.text("password").toCharArray()).setProvider(BC);
    PrivateKey key = request.once("key", Enveloped::privateKey);
    if (each instanceof KeyAgreeRecipientInformation)
      return new JceKeyAgreeEnvelopedRecipient(key).setProvider(BC);
    return authenticated
        ? new JceKeyTransAuthEnvelopedRecipient(key).setProvider(BC)
        : new JceKeyTransEnvelopedRecipient(key).setProvider(BC);
  }
}
