import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import org.bouncycastle.asn1.ASN1Encoding;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.ASN1OctetString;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.SubjectKeyIdentifier;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.KeyAgreeRecipientId;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientInformationStore;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientId;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientId;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/**
 * One command a line, one answer a line: "OK base64" or "ERROR text". Octets are base64, "-" is none.
 *
 * <pre>
 * sign algorithm detached ber content extra-certificate (key certificate)+
 * verify signed-data detached content issuer
 * encrypt transport-or-agreement cipher key-identifier ber content certificate+
 * decrypt enveloped-data key certificate
 * </pre>
 */
public final class BouncyCastlePeer {
    private static final Map<String, ASN1ObjectIdentifier> CIPHERS = Map.of(
            "aes128-cbc", CMSAlgorithm.AES128_CBC,
            "aes192-cbc", CMSAlgorithm.AES192_CBC,
            "aes256-cbc", CMSAlgorithm.AES256_CBC,
            "aes128-gcm", CMSAlgorithm.AES128_GCM,
            "aes192-gcm", CMSAlgorithm.AES192_GCM,
            "aes256-gcm", CMSAlgorithm.AES256_GCM);

    private static final Map<String, ASN1ObjectIdentifier> AGREEMENTS = Map.of(
            "ecdh-sha1kdf", CMSAlgorithm.ECDH_SHA1KDF,
            "ecdh-sha256kdf", CMSAlgorithm.ECDH_SHA256KDF,
            "ecdh-sha384kdf", CMSAlgorithm.ECDH_SHA384KDF,
            "ecdh-sha512kdf", CMSAlgorithm.ECDH_SHA512KDF,
            "x25519-hkdf-sha256", new ASN1ObjectIdentifier("1.2.840.113549.1.9.16.3.19"));
    private static final Map<String, ASN1ObjectIdentifier> WRAPS = Map.of(
            "aes128", CMSAlgorithm.AES128_WRAP,
            "aes192", CMSAlgorithm.AES192_WRAP,
            "aes256", CMSAlgorithm.AES256_WRAP);

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String answer;
            try {
                answer = "OK " + Base64.getEncoder().encodeToString(execute(line.split(" ")));
            } catch (Exception error) {
                answer = "ERROR " + error.toString().replaceAll("\\s+", " ");
            }
            System.out.println(answer);
        }
    }

    private static byte[] execute(String[] words) throws Exception {
        switch (words[0]) {
            case "sign":
                return sign(words);
            case "verify":
                return verify(words);
            case "encrypt":
                return encrypt(words);
            case "decrypt":
                return decrypt(words);
            default:
                throw new IllegalArgumentException("no such command: " + words[0]);
        }
    }

    private static byte[] sign(String[] words) throws Exception {
        String algorithm = words[1];
        boolean detached = Boolean.parseBoolean(words[2]);
        CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
        List<X509Certificate> certificates = new ArrayList<>(List.of(certificate(words[5])));
        for (int at = 6; at < words.length; at += 2) {
            X509Certificate certificate = certificate(words[at + 1]);
            certificates.add(certificate);
            generator.addSignerInfoGenerator(
                    new JcaSignerInfoGeneratorBuilder(new JcaDigestCalculatorProviderBuilder().build())
                            .build(new JcaContentSignerBuilder(algorithm).setProvider("BC").build(key(words[at])),
                                    certificate));
        }
        generator.addCertificates(new JcaCertStore(certificates));
        CMSSignedData signed = generator.generate(new CMSProcessableByteArray(octets(words[4])), !detached);
        return Boolean.parseBoolean(words[3]) ? signed.getEncoded() : signed.getEncoded(ASN1Encoding.DER);
    }

    /** Every signer's certificate must be in the object and be issued by the issuer. */
    private static byte[] verify(String[] words) throws Exception {
        CMSProcessableByteArray content = new CMSProcessableByteArray(octets(words[3]));
        CMSSignedData signed = Boolean.parseBoolean(words[2])
                ? new CMSSignedData(content, octets(words[1]))
                : new CMSSignedData(octets(words[1]));
        Collection<SignerInformation> signers = signed.getSignerInfos().getSigners();
        if (signers.isEmpty()) {
            throw new SecurityException("nobody signed");
        }
        for (SignerInformation signer : signers) {
            Collection<?> found = signed.getCertificates().getMatches(signer.getSID());
            X509CertificateHolder holder = (X509CertificateHolder) found.iterator().next();
            X509Certificate certificate = new JcaX509CertificateConverter().getCertificate(holder);
            certificate.verify(certificate(words[4]).getPublicKey(), "BC");
            if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(certificate))) {
                throw new SecurityException("a bad signature");
            }
        }
        return (byte[]) signed.getSignedContent().getContent();
    }

    private static byte[] encrypt(String[] words) throws Exception {
        boolean keyIdentifier = Boolean.parseBoolean(words[3]);
        List<RecipientInfoGenerator> recipients = new ArrayList<>();
        for (String word : Arrays.copyOfRange(words, 6, words.length)) {
            recipients.add(
                    AGREEMENTS.containsKey(words[1])
                            ? agreeing(words, certificate(word), keyIdentifier)
                            : recipient(words[1], certificate(word), keyIdentifier).setProvider("BC"));
        }
        boolean ber = Boolean.parseBoolean(words[4]);
        CMSProcessableByteArray content = new CMSProcessableByteArray(octets(words[5]));
        OutputEncryptor encryptor = new JceCMSContentEncryptorBuilder(CIPHERS.get(words[2])).setProvider("BC").build();
        if (encryptor instanceof OutputAEADEncryptor) {
            CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
            recipients.forEach(generator::addRecipientInfoGenerator);
            ContentInfo object = generator.generate(content, (OutputAEADEncryptor) encryptor).toASN1Structure();
            return object.getEncoded(ber ? ASN1Encoding.BER : ASN1Encoding.DER);
        }
        CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
        recipients.forEach(generator::addRecipientInfoGenerator);
        ContentInfo object = generator.generate(content, encryptor).toASN1Structure();
        return object.getEncoded(ber ? ASN1Encoding.BER : ASN1Encoding.DER);
    }

    /** With the key wrap that has keys as long as the cipher's: "aes128-cbc" goes with AES128_WRAP. */
    private static RecipientInfoGenerator agreeing(String[] words, X509Certificate certificate, boolean keyIdentifier)
            throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("X25519", "BC");
        if (certificate.getPublicKey() instanceof ECPublicKey) {
            int size = ((ECPublicKey) certificate.getPublicKey()).getParams().getOrder().bitLength();
            generator = KeyPairGenerator.getInstance("EC", "BC");
            generator.initialize(new ECGenParameterSpec("secp" + size + "r1"));
        }
        KeyPair ephemeral = generator.generateKeyPair();
        JceKeyAgreeRecipientInfoGenerator agreeing = new JceKeyAgreeRecipientInfoGenerator(
                AGREEMENTS.get(words[1]),
                ephemeral.getPrivate(),
                ephemeral.getPublic(),
                WRAPS.get(words[2].substring(0, 6)));
        return (keyIdentifier
                        ? agreeing.addRecipient(subjectKeyIdentifier(certificate), certificate.getPublicKey())
                        : agreeing.addRecipient(certificate))
                .setProvider("BC");
    }

    private static JceKeyTransRecipientInfoGenerator recipient(
            String transport, X509Certificate certificate, boolean keyIdentifier) throws Exception {
        byte[] identifier = keyIdentifier ? subjectKeyIdentifier(certificate) : null;
        if (transport.equals("rsa-pkcs1")) {
            return keyIdentifier
                    ? new JceKeyTransRecipientInfoGenerator(identifier, certificate.getPublicKey())
                    : new JceKeyTransRecipientInfoGenerator(certificate);
        }
        String digest = transport.replace("rsa-oaep-sha", "SHA-"); // "rsa-oaep-sha256"
        AlgorithmIdentifier algorithm = new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(
                PKCSObjectIdentifiers.id_RSAES_OAEP,
                new OAEPParameterSpec(digest, "MGF1", new MGF1ParameterSpec(digest), PSource.PSpecified.DEFAULT));
        return keyIdentifier
                ? new JceKeyTransRecipientInfoGenerator(identifier, algorithm, certificate.getPublicKey())
                : new JceKeyTransRecipientInfoGenerator(certificate, algorithm);
    }

    private static byte[] decrypt(String[] words) throws Exception {
        byte[] object = octets(words[1]);
        PrivateKey key = key(words[2]);
        boolean agreeing = !key.getAlgorithm().equals("RSA");
        X509Certificate certificate = certificate(words[3]);
        boolean authenticated = ContentInfo.getInstance(object)
                .getContentType()
                .equals(CMSObjectIdentifiers.authEnvelopedData);
        RecipientInformationStore infos = authenticated
                ? new CMSAuthEnvelopedData(object).getRecipientInfos()
                : new CMSEnvelopedData(object).getRecipientInfos();
        RecipientInformation info = infos.get(
                agreeing ? new JceKeyAgreeRecipientId(certificate) : new JceKeyTransRecipientId(certificate));
        if (info == null && agreeing) { // this kind of id does not stand for both names
            info = infos.get(new KeyAgreeRecipientId(subjectKeyIdentifier(certificate)));
        }
        if (info == null) {
            throw new SecurityException("not for us");
        }
        if (agreeing) {
            return info.getContent(new JceKeyAgreeEnvelopedRecipient(key).setProvider("BC"));
        }
        return info.getContent(authenticated
                ? new JceKeyTransAuthEnvelopedRecipient(key).setProvider("BC")
                : new JceKeyTransEnvelopedRecipient(key).setProvider("BC"));
    }

    private static byte[] octets(String word) {
        return word.equals("-") ? new byte[0] : Base64.getDecoder().decode(word);
    }

    private static X509Certificate certificate(String word) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(octets(word)));
    }

    private static byte[] subjectKeyIdentifier(X509Certificate certificate) {
        byte[] extension = certificate.getExtensionValue(Extension.subjectKeyIdentifier.getId());
        return SubjectKeyIdentifier.getInstance(ASN1OctetString.getInstance(extension).getOctets()).getKeyIdentifier();
    }

    private static PrivateKey key(String word) throws Exception {
        PKCS8EncodedKeySpec specification = new PKCS8EncodedKeySpec(octets(word));
        for (String algorithm : List.of("RSA", "EC", "Ed25519", "X25519")) {
            try {
                return KeyFactory.getInstance(algorithm, "BC").generatePrivate(specification);
            } catch (java.security.spec.InvalidKeySpecException error) {
                continue;
            }
        }
        throw new IllegalArgumentException("a key of another kind");
    }
}
