// SignedData and CompressedData with Bouncy Castle's own generators and parsers.
import java.io.ByteArrayOutputStream;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cms.CMSCompressedData;
import org.bouncycastle.cms.CMSCompressedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.SignerInfoGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.cms.jcajce.ZlibCompressor;
import org.bouncycastle.cms.jcajce.ZlibExpanderProvider;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.util.Selector;

final class Signed {
  /** `algorithm` is the name that Bouncy Castle gives the pair of digest and key, such as SHA256WITHRSAANDMGF1. */
  static byte[] sign(Peer.Request request) throws Exception {
    X509Certificate certificate = request.once("cert", Enveloped::certificate);
    PrivateKey key = request.once("key", Enveloped::privateKey);
    ContentSigner signer = new JcaContentSignerBuilder(request.text("algorithm")).setProvider("BC").build(key);
    JcaSignerInfoGeneratorBuilder builder =
        new JcaSignerInfoGeneratorBuilder(new JcaDigestCalculatorProviderBuilder().setProvider("BC").build());
    if (!request.has("attributes")) builder.setDirectSignature(true);
    SignerInfoGenerator info =
        request.has("keyid")
            ? builder.build(
                signer,
                org.bouncycastle.asn1.ASN1OctetString.getInstance(
                        JcaX509ExtensionUtils.parseExtensionValue(certificate.getExtensionValue("2.5.29.14")))
                    .getOctets())
            : builder.build(signer, certificate);
    CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
    generator.addSignerInfoGenerator(info);
    generator.addCertificate(new X509CertificateHolder(certificate.getEncoded()));
    CMSProcessableByteArray content = new CMSProcessableByteArray(request.octets("content"));
    return generator.generate(content, !request.has("detached")).getEncoded();
  }

  /** The content, if each signature is good and each signer's certificate is signed by the CA. */
  static byte[] verify(Peer.Request request) throws Exception {
    byte[] message = request.octets("message");
    CMSSignedData signed =
        request.has("content")
            ? new CMSSignedData(new CMSProcessableByteArray(request.octets("content")), message)
            : new CMSSignedData(message);
    if (signed.getSignerInfos().size() == 0) throw new Exception("the message has no signers");
    X509Certificate ca = request.once("ca", Enveloped::certificate);
    for (SignerInformation each : signed.getSignerInfos().getSigners()) {
      @SuppressWarnings("unchecked")
      Selector<X509CertificateHolder> selector = (Selector<X509CertificateHolder>) each.getSID();
      X509CertificateHolder holder = signed.getCertificates().getMatches(selector).iterator().next();
      X509Certificate certificate = Enveloped.certificate(holder.getEncoded());
      certificate.verify(ca.getPublicKey(), "BC");
      if (!each.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(certificate)))
        throw new Exception("the signature does not verify");
    }
    ByteArrayOutputStream content = new ByteArrayOutputStream();
    signed.getSignedContent().write(content);
    return content.toByteArray();
  }

  static byte[] compress(Peer.Request request) throws Exception {
    CMSProcessableByteArray content = new CMSProcessableByteArray(request.octets("content"));
    return new CMSCompressedDataGenerator().generate(content, new ZlibCompressor()).getEncoded();
  }

  static byte[] uncompress(Peer.Request request) throws Exception {
    return new CMSCompressedData(request.octets("message")).getContent(new ZlibExpanderProvider());
  }
}
