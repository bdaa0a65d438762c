// Whole mails with Bouncy Castle's S/MIME generators over JavaMail: the same octets through the same layers as the codec's.
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.activation.DataHandler;
import javax.mail.internet.MimeBodyPart;
import javax.mail.util.ByteArrayDataSource;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoGeneratorBuilder;
import org.bouncycastle.mail.smime.SMIMEEnvelopedGenerator;
import org.bouncycastle.mail.smime.SMIMESignedGenerator;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.util.CollectionStore;

final class Mail {
  /**
   * Signs a MIME entity (opaque) and encrypts it. `inner` is the transfer encoding of the signed layer, base64 or
   * binary; the outer one is base64.
   */
  static byte[] protect(Peer.Request request) throws Exception {
    X509Certificate signer = request.once("signerCert", Enveloped::certificate);
    SMIMESignedGenerator signing = new SMIMESignedGenerator();
    signing.setContentTransferEncoding(request.text("inner"));
    signing.addSignerInfoGenerator(
        new JcaSimpleSignerInfoGeneratorBuilder()
            .setProvider("BC")
            .build(request.text("algorithm"), request.once("signerKey", Enveloped::privateKey), signer));
    signing.addCertificates(new CollectionStore<>(List.of(new X509CertificateHolder(signer.getEncoded()))));
    MimeBodyPart entity = new MimeBodyPart(new ByteArrayInputStream(request.octets("content")));
    MimeBodyPart signed = signing.generateEncapsulated(entity);
    OutputEncryptor encryptor = Enveloped.encryptor(request.text("cipher"));
    RecipientInfoGenerator recipient = Enveloped.recipient(request);
    if (encryptor instanceof OutputAEADEncryptor)
      return written(authenticated(written(signed), recipient, (OutputAEADEncryptor) encryptor));
    SMIMEEnvelopedGenerator encrypting = new SMIMEEnvelopedGenerator();
    encrypting.setContentTransferEncoding("base64");
    encrypting.addRecipientInfoGenerator(recipient);
    return written(encrypting.generate(signed, encryptor));
  }

  /** The S/MIME generators know no AuthEnvelopedData. */
  private static MimeBodyPart authenticated(
      byte[] signed, RecipientInfoGenerator recipient, OutputAEADEncryptor encryptor) throws Exception {
    CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
    generator.addRecipientInfoGenerator(recipient);
    byte[] der = generator.generate(new CMSProcessableByteArray(signed), encryptor).getEncoded();
    String type = "application/pkcs7-mime; name=\"smime.p7m\"; smime-type=authEnveloped-data";
    MimeBodyPart part = new MimeBodyPart();
    part.setDataHandler(new DataHandler(new ByteArrayDataSource(der, type)));
    part.setHeader("Content-Type", type);
    part.setHeader("Content-Transfer-Encoding", "base64");
    return part;
  }

  private static byte[] written(MimeBodyPart part) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    part.writeTo(out);
    return out.toByteArray();
  }

  /** The CMS object of a mail, with its transfer encoding taken off. */
  static byte[] object(byte[] mail) throws Exception {
    return new MimeBodyPart(new ByteArrayInputStream(mail)).getInputStream().readAllBytes();
  }
}
